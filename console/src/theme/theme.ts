import type { ConvertCSSVariablesInput, MantineColorsTuple, MantineTheme, MantineThemeOverride } from '@mantine/core';

// This file is read by the browser and by the build (src/build), so it must not
// import style sheets or anything that needs a page.

/** The accent: water under a hull. */
const stay: MantineColorsTuple = [
  '#e6f5f7', '#cfe9ed', '#a0d3db', '#6dbcc8', '#45a8b8', '#2b9bad', '#178fa3', '#047c8f', '#006b7d', '#00596a',
];

/** Greys with a little blue, for both schemes. */
const gray: MantineColorsTuple = [
  '#f7f8fa', '#eff1f4', '#e4e7ec', '#d5d9e0', '#c1c7d0', '#9ea6b3', '#7b8492', '#596270', '#39414d', '#20262f',
];
const dark: MantineColorsTuple = [
  '#d9dde4', '#bcc3ce', '#97a0af', '#6c7584', '#3b4350', '#2f3643', '#222832', '#181c24', '#12161c', '#0d1015',
];

export const theme: MantineThemeOverride = {
  primaryColor: 'stay',
  primaryShade: { light: 8, dark: 7 },
  colors: { stay, gray, dark },
  black: '#1a2029',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace',
  defaultRadius: 'sm',
  radius: { xs: '3px', sm: '6px', md: '8px', lg: '12px', xl: '20px' },
  fontSizes: { xs: '0.78rem', sm: '0.875rem', md: '0.9375rem', lg: '1.0625rem', xl: '1.25rem' },
  headings: {
    fontWeight: '650',
    sizes: { h1: { fontSize: '1.375rem' }, h2: { fontSize: '1.0625rem' }, h3: { fontSize: '0.9375rem' } },
  },
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    // Locking the page's scrolling is done with a style element, which the
    // content security policy refuses; the page itself does not scroll, its
    // main part does.
    Modal: { defaultProps: { lockScroll: false, centered: true, overlayProps: { backgroundOpacity: 0.45 } } },
    Tooltip: { defaultProps: { openDelay: 350, withArrow: true, multiline: true, maw: 420, events: { hover: true, focus: true, touch: true } } },
    Menu: { defaultProps: { shadow: 'md', position: 'bottom-end' } },
    Popover: { defaultProps: { shadow: 'md' } },
  },
};

/** Variables beyond those of Mantine, and those that we want otherwise. */
export function cssVariables(_: MantineTheme): ConvertCSSVariablesInput {
  return {
    variables: {},
    light: {
      '--mantine-color-dimmed': '#5a6472',
      '--mantine-color-placeholder': '#737d8b',
      '--mantine-color-error': '#c02b2b',
      '--ms-page': '#f4f6f8',
      '--ms-surface': '#ffffff',
      '--ms-side': '#ffffff',
      '--ms-line': '#e1e5ea',
      '--ms-line-strong': '#c9d0d8',
      '--ms-hover': '#f2f5f7',
      '--ms-selected': '#e4f2f4',
      '--ms-selected-text': '#00596a',
      '--ms-link': '#006a7c',
      '--ms-good': '#1c7a45',
      '--ms-good-soft': '#e3f4ea',
      '--ms-warning': '#8f5a00',
      '--ms-warning-soft': '#fdf1d9',
      '--ms-bad': '#b92a2a',
      '--ms-bad-soft': '#fce9e8',
      '--ms-quiet': '#5a6472',
      '--ms-quiet-soft': '#edf0f3',
    },
    dark: {
      '--mantine-color-body': '#181c24',
      '--mantine-color-text': '#d9dde4',
      '--mantine-color-error': '#ff8f8a',
      '--ms-page': '#12161c',
      '--ms-surface': '#191e26',
      '--ms-side': '#151920',
      '--ms-line': '#2a313c',
      '--ms-line-strong': '#404957',
      '--ms-hover': '#202630',
      '--ms-selected': '#10343c',
      '--ms-selected-text': '#8ed6e2',
      '--ms-link': '#6cc5d4',
      '--ms-good': '#6fcf97',
      '--ms-good-soft': '#16301f',
      '--ms-warning': '#f0bd5e',
      '--ms-warning-soft': '#382a10',
      '--ms-bad': '#ff928c',
      '--ms-bad-soft': '#3d1c1d',
      '--ms-quiet': '#97a0af',
      '--ms-quiet-soft': '#262c36',
    },
  };
}
