// What the sign-in page reads from its address.

/** The one-time code in the fragment of a sign-in link: #code=…, or the bare code. */
export function codeIn(fragment: string): string | undefined {
  const text = fragment.replace(/^#/, '');
  if (text === '') return undefined;
  const code = new URLSearchParams(text).get('code') ?? (text.includes('=') ? '' : decoded(text));
  return code || undefined;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

/** Where to go after the sign-in: a page of this console, never another site. */
export function safeTarget(to: string | undefined): string {
  if (!to?.startsWith('/') || /^\/[/\\]/.test(to) || /[\x00-\x1f]/.test(to) || to.startsWith('/sign-in')) return '/';
  return to;
}
