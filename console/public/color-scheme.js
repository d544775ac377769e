// Runs before the first paint, so that a dark console does not flash white. A
// file of its own because the content security policy allows no inline script.
(function () {
  var stored = null;
  try {
    stored = localStorage.getItem('mainstay-color-scheme');
  } catch (error) {
    // Storage is off: the system's choice counts.
  }
  var dark = stored === 'dark' || (stored !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
})();
