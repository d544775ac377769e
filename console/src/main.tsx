import './theme/styles';

import { localStorageColorSchemeManager, MantineProvider } from '@mantine/core';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { makeQueryClient } from './queries';
import { makeRouter } from './router';
import { theme } from './theme/theme';

const queryClient = makeQueryClient();
const router = makeRouter();

// Mantine makes no style elements: the variables of the theme are a style
// sheet, and nothing uses its classes for widths and schemes.
const noStyleElements = { withCssVariables: false, withGlobalClasses: false, withStaticClasses: false };

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <MantineProvider
      theme={theme} defaultColorScheme="auto" {...noStyleElements}
      colorSchemeManager={localStorageColorSchemeManager({ key: 'mainstay-color-scheme' })}
    >
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
