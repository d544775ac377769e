import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

it('has the types that the committed API document gives', () => {
  const folder = fileURLToPath(new URL('../..', import.meta.url));
  const { scripts } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
  const [program, ...args] = String(scripts.generate).split(' ');
  try {
    execFileSync(`node_modules/.bin/${program}`, [...args, '--check'], { cwd: folder, stdio: 'pipe' });
  } catch (error) {
    expect.fail(`src/api/schema.ts is not what openapi.json gives; run 'npm run generate' and commit it\n${String((error as { stderr?: unknown }).stderr)}`);
  }
});
