import { convertCssVariables, defaultCssVariablesResolver, mergeMantineTheme, DEFAULT_THEME } from '@mantine/core';
import type { Plugin } from 'vite';

import { cssVariables, theme } from '../theme/theme.ts';

const name = 'virtual:theme-variables.css';

/**
 * Gives the theme's CSS variables as a style sheet. Mantine would make a style
 * element of them at run time, which the content security policy refuses.
 */
export function themeVariables(): Plugin {
  return {
    name: 'mainstay:theme-variables',
    resolveId: (id) => (id === name ? `\0${name}` : undefined),
    load: (id) => (id === `\0${name}` ? themeCss() : undefined),
  };
}

/** The variables of the theme for both colour schemes. */
export function themeCss(): string {
  const whole = mergeMantineTheme(DEFAULT_THEME, theme);
  const base = defaultCssVariablesResolver(whole);
  const own = cssVariables(whole);
  return convertCssVariables(
    {
      variables: { ...base.variables, ...own.variables },
      light: { '--mantine-color-scheme': 'light', ...base.light, ...own.light },
      dark: { '--mantine-color-scheme': 'dark', ...base.dark, ...own.dark },
    },
    ':root',
  );
}
