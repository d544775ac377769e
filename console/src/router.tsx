import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, useNavigate } from '@tanstack/react-router';
import { useEffect } from 'react';

import { Failed, NotFound, NothingAllowed } from './components/Fallback';
import { Shell } from './components/Shell';
import { useMe } from './hooks/useMe';
import { listSearch } from './lib/listSearch';
import { firstPage } from './navigation';

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFound });

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  validateSearch: (search: Record<string, unknown>): { to?: string; signedOut?: string } => ({
    ...(typeof search.to === 'string' ? { to: search.to } : {}),
    ...(search.signedOut ? { signedOut: '1' } : {}),
  }),
  component: lazyRouteComponent(() => import('./pages/session/SignIn'), 'SignIn'),
});

const shell = createRoute({ getParentRoute: () => root, id: 'shell', component: Shell });

const first = createRoute({ getParentRoute: () => shell, path: '/', component: First });

function First() {
  const navigate = useNavigate();
  const path = firstPage(useMe().data?.permissions ?? []);
  useEffect(() => void (path && navigate({ to: path, replace: true })), [navigate, path]);
  return path ? null : <NothingAllowed />;
}

const site = createRoute({
  getParentRoute: () => shell,
  path: '/site',
  component: lazyRouteComponent(() => import('./pages/site/SiteStatus'), 'SiteStatus'),
});

const devices = createRoute({
  getParentRoute: () => shell,
  path: '/devices',
  validateSearch: listSearch,
  component: lazyRouteComponent(() => import('./pages/device/DeviceList'), 'DeviceList'),
});

const device = createRoute({
  getParentRoute: () => shell,
  path: '/devices/$id',
  component: lazyRouteComponent(() => import('./pages/device/Device'), 'Device'),
});

const deviceSummary = createRoute({
  getParentRoute: () => device,
  path: '/',
  component: lazyRouteComponent(() => import('./pages/device/Summary'), 'Summary'),
});

const deviceInventory = createRoute({
  getParentRoute: () => device,
  path: '/inventory',
  component: lazyRouteComponent(() => import('./pages/device/Inventory'), 'Inventory'),
});

const deviceInventoryClass = createRoute({
  getParentRoute: () => device,
  path: '/inventory/$class',
  component: lazyRouteComponent(() => import('./pages/device/Inventory'), 'Inventory'),
});

const deviceHistory = createRoute({
  getParentRoute: () => device,
  path: '/history',
  validateSearch: (search: Record<string, unknown>): { class?: string } => (typeof search.class === 'string' && search.class ? { class: search.class } : {}),
  component: lazyRouteComponent(() => import('./pages/device/History'), 'History'),
});

const deviceStates = createRoute({
  getParentRoute: () => device,
  path: '/state-messages',
  component: lazyRouteComponent(() => import('./pages/device/StateMessages'), 'StateMessages'),
});

const deviceSettings = createRoute({
  getParentRoute: () => device,
  path: '/client-settings',
  component: lazyRouteComponent(() => import('./pages/device/ResultantSettings'), 'ResultantSettings'),
});

const registrations = createRoute({
  getParentRoute: () => shell,
  path: '/registrations',
  validateSearch: listSearch,
  component: lazyRouteComponent(() => import('./pages/registration/RegistrationList'), 'RegistrationList'),
});

const routeTree = root.addChildren([
  signIn,
  shell.addChildren([
    first, site, devices,
    device.addChildren([deviceSummary, deviceInventory, deviceInventoryClass, deviceHistory, deviceStates, deviceSettings]),
    registrations,
  ]),
]);

/** Makes the router. What stands after the ? in an address is plain text, without quotation marks. */
export function makeRouter() {
  return createRouter({
    routeTree,
    defaultPreload: 'intent',
    defaultErrorComponent: Failed,
    defaultNotFoundComponent: NotFound,
    parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
    stringifySearch: (search) => {
      const text = new URLSearchParams(search as Record<string, string>).toString();
      return text ? `?${text}` : '';
    },
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
