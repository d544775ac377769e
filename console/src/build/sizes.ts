import { gzipSync } from 'node:zlib';

import type { Plugin } from 'vite';

/** What the first view may weigh, in bytes of compressed script. */
export const firstViewLimit = 200_000;

/** The page that a signed-in administrator sees first. */
const firstPage = 'src/pages/site/SiteStatus.tsx';

interface Chunk {
  type: 'chunk';
  fileName: string;
  code: string;
  imports: string[];
  isEntry: boolean;
  facadeModuleId: string | null;
}
type Output = Record<string, { type: 'asset'; fileName: string; source: string | Uint8Array } | Chunk>;

/** One script with its size after compression, in bytes. */
export interface Size {
  fileName: string;
  bytes: number;
}

/** The scripts that the first view loads: the entry, the first page, and what they import. */
export function firstView(output: Output): Size[] {
  const files = new Map<string, Size>();
  const add = (fileName: string) => {
    const chunk = output[fileName];
    if (chunk?.type !== 'chunk' || files.has(fileName)) return;
    files.set(fileName, { fileName, bytes: gzipSync(chunk.code).length });
    chunk.imports.forEach(add);
  };
  for (const chunk of Object.values(output)) {
    if (chunk.type === 'chunk' && (chunk.isEntry || chunk.facadeModuleId?.endsWith(firstPage))) add(chunk.fileName);
  }
  return [...files.values()];
}

/** Prints what the first view weighs. */
export function sizes(): Plugin {
  return {
    name: 'mainstay:sizes',
    apply: 'build',
    generateBundle(_options, bundle) {
      const first = firstView(bundle as unknown as Output);
      const total = first.reduce((sum, file) => sum + file.bytes, 0);
      const lines = first.map((file) => `  ${(file.bytes / 1000).toFixed(1).padStart(6)} kB  ${file.fileName}`);
      const limit = firstViewLimit / 1000;
      this.info(`first view: ${(total / 1000).toFixed(1)} kB of compressed script, ${limit} kB allowed\n${lines.join('\n')}`);
    },
  };
}
