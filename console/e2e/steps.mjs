// What the console must do, step by step; each begins where the one before it
// ended. See run.mjs.

import assert from 'node:assert/strict';
import { hostname, release } from 'node:os';

/** What the steps learn on their way. */
const seen = { id: '', name: '' };

const heading = (page, name) => page.getByRole('heading', { level: 1, name });
const tab = (page, name) => page.getByRole('navigation', { name: 'Views of the device' }).getByRole('link', { name, exact: true });

/** Everything that can be operated has a name. */
async function named(page) {
  const tree = await page.locator('body').ariaSnapshot();
  const nameless = tree.split('\n').filter((line) => /^\s*- (button|link|textbox|searchbox|combobox|checkbox|radio|table|region|navigation)( \[[^\]]*\])*:?$/.test(line));
  assert.deepEqual(nameless, [], 'controls without a name for screen readers');
}

/** Nothing is wider than the window. */
async function fits(page) {
  const { wide, room } = await page.evaluate(() => ({ wide: document.documentElement.scrollWidth, room: document.documentElement.clientWidth }));
  assert.ok(wide <= room, `the page is ${wide} wide in a window of ${room}`);
}

export const steps = [
  ['sends a stranger to the sign-in', async ({ open, picture }) => {
    const { page, context } = await open();
    await page.goto('/devices?filter=blocked%3Dfalse');
    await page.waitForURL(/\/sign-in\?to=/);
    await page.getByLabel('Name').waitFor();
    await named(page);
    await picture(page, 'sign-in');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Give your name.').waitFor();
    await page.getByLabel('Name').fill('nobody');
    await page.getByLabel('Password', { exact: true }).fill('not the password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').getByText(/are not right/).waitFor();
    await context.close();
  }],

  ['signs in by the link and takes the code out of the address', async ({ page, link }) => {
    await page.goto(link);
    await page.waitForURL(/\/site$/);
    await page.getByText('Everything works').or(page.getByText('Something')).first().waitFor();
    assert.equal(new URL(page.url()).hash, '');
  }],

  ['refuses the link a second time', async ({ open, link, picture }) => {
    const { page, context } = await open();
    await page.goto(link);
    await page.getByText('The link does not sign in').waitFor();
    assert.equal(new URL(page.url()).hash, '');
    await picture(page, 'sign-in-refused');
    await context.close();
  }],

  ['shows the site, its roles and components, live', async ({ page, picture }) => {
    await page.getByRole('status').getByText('Live', { exact: true }).waitFor();
    const roles = page.getByRole('table', { name: 'Site systems and roles' });
    for (const role of ['site server', 'management point', 'provider']) await roles.getByRole('row', { name: new RegExp(`${role} OK`, 'i') }).waitFor();
    await page.getByRole('table', { name: 'Components' }).getByRole('row', { name: /OK/ }).first().waitFor();
    await named(page);
    await picture(page, 'site');
  }],

  ['can be used with the keyboard', async ({ page }) => {
    await page.goto('/site');
    await page.getByRole('table', { name: 'Components' }).waitFor();
    await page.keyboard.press('Tab');
    const skip = page.getByRole('link', { name: 'Skip to the content' });
    assert.ok(await skip.evaluate((element) => element === document.activeElement));
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
    await page.getByRole('navigation').getByRole('link', { name: 'Devices' }).focus();
    await page.keyboard.press('Enter');
    await heading(page, 'Devices').waitFor();
  }],

  ['finds a device by its name', async ({ page, picture }) => {
    await page.goto('/devices');
    const rows = page.getByRole('table', { name: 'Devices' }).getByRole('row').filter({ has: page.getByRole('link') });
    await rows.first().waitFor();
    await picture(page, 'devices');
    const own = rows.filter({ has: page.getByRole('link', { name: hostname(), exact: true }) });
    const found = ((await own.count()) > 0 ? own : rows).first().getByRole('link');
    seen.name = await found.innerText();
    seen.id = (await found.getAttribute('href')).split('/').at(-1);
    const search = page.getByRole('searchbox', { name: 'Search by name' });
    await search.fill('no such device');
    await page.getByText('Nothing matches').waitFor();
    await search.fill(seen.name.toUpperCase());
    await page.getByRole('link', { name: seen.name, exact: true }).waitFor();
    await named(page);
    assert.match(page.url(), /search=/);
  }],

  ['filters and sorts by column, in the address', async ({ page }) => {
    await page.goto('/devices');
    await page.getByRole('button', { name: 'Filter by Operating system' }).click();
    await page.getByLabel('Operating system contains').fill('no "such, system');
    await page.keyboard.press('Enter');
    await page.getByText('Nothing matches').waitFor();
    await page.getByRole('button', { name: 'Remove the filter Operating system contains no "such, system' }).click();
    await page.getByRole('link', { name: seen.name, exact: true }).first().waitFor();
    await page.getByRole('button', { name: 'Sort by Last seen' }).or(page.getByRole('button', { name: 'Last seen', exact: true })).first().click();
    await page.waitForURL(/sort=seen_at/);
    await page.getByRole('columnheader', { name: /Last seen/ }).and(page.locator('[aria-sort=ascending]')).waitFor();
    await page.goto('/devices?filter=broken%20filter%20here');
    await page.getByText('The filter in the address could not be read').waitFor();
    await page.goto('/devices?view=blocked');
    await page.getByText('Nothing here').or(page.getByRole('table', { name: 'Devices' })).first().waitFor();
  }],

  ['shows one device', async ({ page, picture }) => {
    await page.goto('/devices');
    await page.getByRole('link', { name: seen.name, exact: true }).first().click();
    await heading(page, seen.name).waitFor();
    await page.getByText('At a glance').waitFor();
    await page.getByText('Installed software').waitFor();
    await named(page);
    await picture(page, 'device');
  }],

  ['shows its inventory, with units', async ({ page, picture }) => {
    await tab(page, 'Inventory').click();
    const classes = page.getByRole('navigation', { name: 'Classes of inventory' });
    await classes.getByRole('link', { name: /^Memory/ }).click();
    await page.getByText(/\d (GiB|MiB)/).first().waitFor();
    await classes.getByRole('link', { name: /^OS / }).click();
    await heading(page, seen.name).waitFor();
    if (seen.name === hostname()) await page.getByText(release(), { exact: true }).first().waitFor();
    await classes.getByRole('link', { name: /^Installed software/ }).click();
    const table = page.getByRole('table', { name: 'Installed software' });
    await table.getByRole('row').nth(3).waitFor();
    await picture(page, 'inventory');
    await page.getByRole('searchbox').fill('no such package');
    await page.getByText('Nothing matches').waitFor();
    await named(page);
  }],

  ['shows its history', async ({ page, picture }) => {
    await tab(page, 'History').click();
    await page.getByRole('button', { name: /added|removed|changed/ }).first().waitFor();
    await picture(page, 'history');
    await page.getByLabel('Class').selectOption({ label: 'Processor' });
    await page.waitForURL(/class=Processor/);
    await page.getByRole('button', { name: /^Processor/ }).waitFor();
    assert.equal(await page.getByRole('button', { name: /^Installed software/ }).count(), 0);
    await named(page);
  }],

  ['shows the client settings in force', async ({ page, picture }) => {
    await tab(page, 'Client Settings').click();
    await page.getByRole('row', { name: /Polling interval.* minute/ }).waitFor();
    await picture(page, 'client-settings');
    await tab(page, 'State Messages').click();
    await page.getByRole('table', { name: 'State Messages' }).or(page.getByText('No state messages yet')).first().waitFor();
    await picture(page, 'state-messages');
  }],

  ['blocks and unblocks, with a reason', async ({ page, picture }) => {
    await page.getByRole('button', { name: 'Block', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Block' }).click();
    await dialog.getByText('Say why').waitFor();
    await dialog.getByLabel('Reason').fill('a test of the console');
    await picture(page, 'block');
    await dialog.getByRole('button', { name: 'Block' }).click();
    await dialog.waitFor({ state: 'detached' });
    await page.getByText('This device is blocked').waitFor();
    await page.getByText('a test of the console').waitFor();
    await page.getByRole('button', { name: 'Unblock' }).click();
    await dialog.getByRole('button', { name: 'Unblock' }).click();
    await page.getByText('This device is blocked').waitFor({ state: 'detached' });
  }],

  ['shows by itself what others do', async ({ page, context }) => {
    await page.getByRole('status').getByText('Live', { exact: true }).waitFor();
    const done = async (verb, data) => {
      const answer = await context.request.post(`/api/v1/devices/${seen.id}/${verb}`, { ...(data ? { data } : {}) });
      assert.ok(answer.ok(), `${verb}: ${answer.status()} ${await answer.text()}`);
    };
    await done('block', { reason: 'somebody else' });
    await page.getByText('somebody else').waitFor();
    await done('unblock');
    await page.getByText('somebody else').waitFor({ state: 'detached' });
  }],

  ['shows registrations', async ({ page, picture }) => {
    await page.getByRole('navigation', { name: 'Workspaces' }).getByRole('link', { name: /Registrations/ }).click();
    await heading(page, 'Registrations').waitFor();
    await page.getByText('All', { exact: true }).click();
    await page.getByRole('table', { name: 'Registrations' }).waitFor();
    await named(page);
    await picture(page, 'registrations');
  }],

  ['says what an address that leads nowhere is', async ({ page }) => {
    await page.goto('/no/such/page');
    await page.getByText('There is no such page').waitFor();
    await page.goto('/devices/no-such-device');
    await page.getByRole('alert').getByText(/no device has the identifier/).waitFor();
  }],

  ['fits a narrow window', async ({ page, picture }) => {
    await page.setViewportSize({ width: 390, height: 780 });
    for (const [path, name] of [['/site', 'narrow-site'], ['/devices', 'narrow-devices'], [`/devices/${seen.id}`, 'narrow-device'], [`/devices/${seen.id}/inventory/InstalledSoftware`, 'narrow-inventory']]) {
      await page.goto(path);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await page.getByRole('table').or(page.getByText('At a glance')).first().waitFor();
      await fits(page);
      await picture(page, name);
    }
    await page.getByRole('button', { name: 'Open the navigation' }).click();
    await page.getByRole('dialog').getByRole('link', { name: 'Site Status' }).click();
    await page.waitForURL(/\/site$/);
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await page.setViewportSize({ width: 1360, height: 850 });
  }],

  ['remembers the chosen appearance', async ({ page }) => {
    await page.getByRole('button', { name: 'Appearance' }).click();
    await page.getByRole('menuitemradio', { name: 'Dark' }).click();
    await page.reload();
    await page.waitForFunction(() => document.documentElement.getAttribute('data-mantine-color-scheme') === 'dark');
    await page.getByRole('button', { name: 'Appearance' }).click();
    await page.getByRole('menuitemradio', { name: 'As the system' }).click();
    await page.waitForFunction(() => document.documentElement.getAttribute('data-mantine-color-scheme') === 'light');
  }],

  ['signs out', async ({ page }) => {
    await page.getByRole('button', { name: /Signed in as/ }).click();
    await page.getByRole('menuitem', { name: 'Sign out' }).click();
    await page.waitForURL(/\/sign-in/);
    await page.getByText('You are signed out.').waitFor();
    await page.goto('/devices');
    await page.waitForURL(/\/sign-in/);
  }],
];
