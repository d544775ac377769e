import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Plugin } from 'vite';

const allowed = new Set(['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'Apache-2.0']);

/** Where the licences of what is in the bundle are served. */
export const licenseFile = 'third-party-licenses.txt';

/**
 * Collects the licence of every package that is in the bundle, as most of them
 * ask, and refuses a package whose licence is not one of ours to use.
 */
export function licenses(): Plugin {
  return {
    name: 'mainstay:licenses',
    apply: 'build',
    generateBundle(_options, bundle) {
      const folders = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue;
        for (const [id, module] of Object.entries(chunk.modules)) {
          const folder = packageFolder(id);
          if (folder && module.code) folders.add(folder);
        }
      }
      const texts = [...folders].sort().map((folder) => {
        const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
        if (!allowed.has(license)) {
          this.error(`package ${name} ${version} has the licence ${license}; allowed are ${[...allowed].join(', ')}`);
        }
        return `${name} ${version} (${license})\n\n${licenseText(folder)}\n`;
      });
      this.emitFile({ type: 'asset', fileName: licenseFile, source: texts.join(`\n${'-'.repeat(80)}\n\n`) });
    },
  };
}

/** The folder of the package that a module belongs to. */
function packageFolder(id: string): string | undefined {
  return /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id.replace(/^\0/, ''))?.[1];
}

function licenseText(folder: string): string {
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  return file ? readFileSync(join(folder, file), 'utf8').trim() : 'The package has no file with the text of its licence.';
}
