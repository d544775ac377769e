import { ActionIcon, Menu, Tooltip, UnstyledButton, useMantineColorScheme } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useLocation, useNavigate } from '@tanstack/react-router';
import { useEffect, useId, useRef, useState } from 'react';

import type { Myself } from '../api/schema';
import { useApi, useSend } from '../hooks/useApi';
import { LiveContext, useLiveEvents } from '../hooks/useLive';
import { useMe } from '../hooks/useMe';
import { texts } from '../lib/texts';
import { visibleWorkspaces } from '../navigation';
import { ConnectionState } from './ConnectionState';
import { Icon } from './Icon';
import { Logo } from './Logo';
import { NavigationDrawer } from './NavigationDrawer';
import { ErrorNotice } from './Notice';
import classes from './Shell.module.css';

/** What is around every page of somebody who is signed in; others are sent to the sign-in. */
export function Shell() {
  const me = useMe();
  if (me.error?.code === 'unauthorized') return <ToSignIn />;
  if (me.data) return <SignedIn me={me.data} />;
  return (
    <div className={classes.alone}>
      {me.error ? <ErrorNotice error={me.error} onRetry={() => void me.refetch()} /> : <Logo size={44} />}
    </div>
  );
}

/** Leads to the sign-in, and from there back to where the reader wanted to be. */
function ToSignIn() {
  const navigate = useNavigate();
  const { pathname, searchStr } = useLocation();
  // Taken once: the location is another as soon as the way begins.
  const [to] = useState(pathname + searchStr);
  useEffect(() => void navigate({ to: '/sign-in', search: to === '/' ? {} : { to }, replace: true }), [navigate, to]);
  return null;
}

function SignedIn({ me }: { me: Myself }) {
  const live = useLiveEvents();
  const [opened, setOpened] = useState(false);
  const { pathname } = useLocation();
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    setOpened(false);
    main.current?.scrollTo(0, 0);
  }, [pathname]);
  return (
    <LiveContext value={live}>
      <div className={classes.shell}>
        <a href="#main" className={classes.skip} onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>{texts.skip}</a>
        <Header me={me} onMenu={() => setOpened(true)} />
        <nav className={classes.side} aria-label={texts.shell.navigation}><Navigation me={me} /></nav>
        <main id="main" ref={main} tabIndex={-1} className={classes.main}><Outlet /></main>
      </div>
      <NavigationDrawer opened={opened} onClose={() => setOpened(false)}><Navigation me={me} /></NavigationDrawer>
    </LiveContext>
  );
}

function Header({ me, onMenu }: { me: Myself; onMenu: () => void }) {
  const site = useApi('/site', {}, { enabled: me.permissions.includes('Site.Read') });
  return (
    <header className={classes.header}>
      <ActionIcon className={classes.menu} variant="subtle" color="gray" aria-label={texts.shell.openNavigation} onClick={onMenu}><Icon name="menu" /></ActionIcon>
      <Link to="/" className={classes.brand}><Logo size={26} /><span>{texts.product}</span></Link>
      <span className={classes.site} title={texts.shell.site(me.site_code)}>
        <span className={classes.code}>{me.site_code}</span>
        {site.data && site.data.name !== me.site_code && <span className={classes.siteName}>{site.data.name}</span>}
      </span>
      <span className={classes.space} />
      <ConnectionState />
      <SchemeMenu />
      <AccountMenu me={me} />
    </header>
  );
}

function Navigation({ me }: { me: Myself }) {
  const pending = usePendingRegistrations(me);
  const prefix = useId();
  return (
    <>
      {visibleWorkspaces(me.permissions).map((workspace) => (
        <div key={workspace.id} className={classes.workspace}>
          <p className={classes.workspaceName} id={`${prefix}-${workspace.id}`}>{workspace.text}</p>
          <ul aria-labelledby={`${prefix}-${workspace.id}`}>
            {workspace.nodes.map((node) => (
              <li key={node.path}>
                <Link to={node.path} className={classes.node}>
                  <Icon name={node.icon} />
                  <span>{node.text}</span>
                  {node.path === '/registrations' && pending > 0 && (
                    <span className={classes.count} title={`${pending} ${texts.site.pending.toLowerCase()}`}>{pending}</span>
                  )}
                </Link>
              </li>
            ))}
          </ul>
        </div>
      ))}
      <a className={classes.small} href="/third-party-licenses.txt" target="_blank" rel="noreferrer">{texts.shell.licenses}</a>
    </>
  );
}

function usePendingRegistrations(me: Myself): number {
  const site = useApi('/site', {}, { enabled: me.permissions.includes('Site.Read') });
  return site.data?.devices.pending_registrations ?? 0;
}

const schemes = ['light', 'dark', 'auto'] as const;
const schemeIcons = { light: 'light', dark: 'dark', auto: 'system' } as const;

function SchemeMenu() {
  // The transitions are kept, because to stop them takes a style element.
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true });
  return (
    <Menu>
      <Menu.Target>
        <Tooltip label={texts.shell.scheme}>
          <ActionIcon variant="subtle" color="gray" aria-label={texts.shell.scheme}><Icon name={schemeIcons[colorScheme]} /></ActionIcon>
        </Tooltip>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.RadioGroup value={colorScheme} onChange={(scheme) => setColorScheme(scheme as (typeof schemes)[number])}>
          {schemes.map((scheme) => (
            <Menu.RadioItem key={scheme} value={scheme} closeMenuOnClick rightSection={<Icon name={schemeIcons[scheme]} size={16} />}>
              {texts.shell.schemes[scheme]}
            </Menu.RadioItem>
          ))}
        </Menu.RadioGroup>
      </Menu.Dropdown>
    </Menu>
  );
}

function AccountMenu({ me }: { me: Myself }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const signOut = useSend('delete', '/session');
  const leave = () => signOut.mutate({}, {
    onSettled: () => {
      void navigate({ to: '/sign-in', search: { signedOut: '1' } });
      queries.clear();
    },
  });
  return (
    <Menu width={240}>
      <Menu.Target>
        <UnstyledButton className={classes.account} aria-label={texts.shell.account(me.name)}>
          <Icon name="user" />
          <span className={classes.accountName}>{me.name}</span>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{texts.shell.account(me.name)}</Menu.Label>
        <div className={classes.roles}>{me.roles.map((role) => <span key={role}>{role}</span>)}</div>
        <Menu.Divider />
        <Menu.Item leftSection={<Icon name="leave" size={16} />} onClick={leave}>{texts.shell.signOut}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
