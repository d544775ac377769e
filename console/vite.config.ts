import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

import { licenses } from './src/build/licenses.ts';
import { signInPage } from './src/build/signInPage.ts';
import { sizes } from './src/build/sizes.ts';
import { themeVariables } from './src/build/themeVariables.ts';

// The site that 'npm run dev' shows: any provider, such as that of 'mainstay
// dev'. Its certificate is the site's own, which Node does not know.
const site = process.env.MAINSTAY_URL ?? 'https://localhost:9443';

export default defineConfig({
  plugins: [react(), themeVariables(), licenses(), signInPage(), sizes()],
  build: {
    target: 'es2023',
    // Data addresses would need an exception in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: { '/api': { target: site, secure: false, changeOrigin: true } },
  },
  test: {
    include: ['src/**/*.test.ts', 'src/**/*.test.tsx'],
    environment: 'node',
    testTimeout: 60_000,
  },
});
