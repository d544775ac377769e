import { fileURLToPath } from 'node:url';

import { build, type Rolldown } from 'vite';
import { expect, it, vi } from 'vitest';

import { firstView, firstViewLimit } from './sizes';

it('loads a first view below the limit, and no inline script or style', async () => {
  // The libraries are larger in tests than in earnest.
  vi.stubEnv('NODE_ENV', 'production');
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const result = (await build({ root, logLevel: 'silent', build: { write: false } })) as Rolldown.RolldownOutput;
  const output = Object.fromEntries(result.output.map((file) => [file.fileName, file]));
  const files = firstView(output as never);
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  console.info(`first view: ${total} bytes of compressed script in ${files.length} files, ${firstViewLimit} allowed`);
  expect(files.length).toBeGreaterThan(2); // the entry alone is not a view
  expect(total).toBeLessThan(firstViewLimit);

  for (const name of ['index.html', 'sign-in.html']) {
    const page = String((output[name] as Rolldown.OutputAsset).source);
    // The content security policy would refuse them, and the page stay empty.
    expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/i);
    for (const [, address] of page.matchAll(/(?:src|href)="([^"]+)"/g)) expect(address).toMatch(/^\/(?!\/)/);
  }
});
