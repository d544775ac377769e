// Uses the console of a running site as an administrator would, in a real
// browser. 'npm run e2e' needs a site with at least one device, such as that of
// 'mainstay dev', and reads
//
//   MAINSTAY_URL      where its console is, such as https://localhost:9443
//   MAINSTAY_SIGN_IN  a sign-in link that was not used yet
//   SCREENSHOTS       a folder for pictures of the pages; none without
//   CHROMIUM          the browser; /usr/bin/chromium without
//
// It blocks and unblocks the device, so it is not for a site in earnest.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';

import { steps } from './steps.mjs';

const url = process.env.MAINSTAY_URL;
const link = process.env.MAINSTAY_SIGN_IN;
if (!url || !link) {
  console.error('Set MAINSTAY_URL to the address of a console and MAINSTAY_SIGN_IN to a sign-in link that was not used yet; both are printed by mainstay dev.');
  process.exit(2);
}
const pictures = process.env.SCREENSHOTS;
if (pictures) mkdirSync(pictures, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  // A browser that runs as root has no sandbox of its own.
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
});

/** A window of its own, with its own cookies; what goes wrong in it is kept. */
async function open(options = {}) {
  const context = await browser.newContext({
    baseURL: url, ignoreHTTPSErrors: true, colorScheme: 'light', viewport: { width: 1360, height: 850 }, ...options,
  });
  const page = await context.newPage();
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // A refused request is logged by the browser; the steps look at those.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) wrong.push(message.text());
  });
  page.setDefaultTimeout(20_000);
  return { context, page, wrong };
}

/** A picture of the page in light and dark. */
async function picture(page, name) {
  if (!pictures) return;
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await page.waitForFunction((wanted) => document.documentElement.getAttribute('data-mantine-color-scheme') === wanted, scheme);
    await page.screenshot({ path: `${pictures}/${name}-${scheme}.png` });
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: null });
}

let passed = 0;
let failed = 0;
const main = await open();
for (const [name, step] of steps) {
  const began = performance.now();
  try {
    await step({ ...main, open, picture, url, link });
    assert.deepEqual(main.wrong.splice(0), [], 'the browser reported errors');
    passed++;
    console.log(`ok    ${name} (${Math.round(performance.now() - began)} ms)`);
  } catch (error) {
    failed++;
    console.log(`FAIL  ${name}\n${error.stack}`);
    if (pictures) await main.page.screenshot({ path: `${pictures}/failed.png` });
    // Each step begins where the one before it ended.
    break;
  }
}
await browser.close();
console.log(`${passed} passed, ${failed} failed, ${steps.length - passed - failed} skipped`);
process.exit(failed === 0 ? 0 : 1);
