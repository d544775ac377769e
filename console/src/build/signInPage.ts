import type { Plugin } from 'vite';

/**
 * Puts the console's page under a second name. A provider serves /sign-in from
 * a file sign-in.html: a plain one of its own where it has no console, and ours
 * where it has, so that signing in looks like the rest.
 */
export function signInPage(): Plugin {
  return {
    name: 'mainstay:sign-in-page',
    apply: 'build',
    enforce: 'post',
    generateBundle(_options, bundle) {
      const index = bundle['index.html'];
      if (index?.type !== 'asset') this.error('index.html is missing');
      else this.emitFile({ type: 'asset', fileName: 'sign-in.html', source: index.source });
    },
  };
}
