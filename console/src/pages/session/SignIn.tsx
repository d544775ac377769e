import { Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type FormEvent, useEffect, useRef, useState } from 'react';

import { CommandLine } from '../../components/CommandLine';
import { Icon } from '../../components/Icon';
import { Logo } from '../../components/Logo';
import { ErrorNotice, Notice } from '../../components/Notice';
import { useSend } from '../../hooks/useApi';
import { useTitle } from '../../hooks/useTitle';
import { codeIn, safeTarget } from '../../lib/signIn';
import { texts } from '../../lib/texts';
import classes from './SignIn.module.css';

/** Signs in with the one-time code of a link, or with name and password. */
export function SignIn() {
  const { to, signedOut } = useSearch({ from: '/sign-in' });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const signIn = useSend('post', '/session');
  const [code] = useState(() => codeIn(window.location.hash));
  const begun = useRef(false);
  useTitle(texts.signIn.title);

  const enter = (offer: { code: string } | { name: string; password: string }) =>
    signIn.mutate({ body: { ...offer, kind: 'browser' } }, {
      onSuccess: () => {
        queries.clear();
        void navigate({ href: safeTarget(to), replace: true });
      },
    });

  useEffect(() => {
    if (!code || begun.current) return;
    begun.current = true;
    // The code leaves the address before anything else happens: it must not
    // stay in the history of the browser.
    window.history.replaceState(window.history.state, '', window.location.pathname + window.location.search);
    enter({ code });
  });

  const linkRefused = code !== undefined && signIn.error?.code === 'unauthorized' && signIn.variables?.body.code !== undefined;
  return (
    <main className={classes.page}>
      <div className={classes.card}>
        <header className={classes.head}>
          <Logo size={44} />
          <h1>{texts.product}</h1>
        </header>
        {code && (signIn.isPending || signIn.isIdle) && signIn.variables?.body.name === undefined ? (
          <p className={classes.wait} role="status">{texts.signIn.withLink}</p>
        ) : (
          <>
            {linkRefused && (
              <Notice tone="bad" icon="bad" title={texts.signIn.linkRefused}>
                <p>{texts.signIn.linkRefusedWhy}</p>
              </Notice>
            )}
            {signIn.error && !linkRefused && <ErrorNotice error={signIn.error} />}
            {!signIn.error && signedOut && <Notice tone="quiet" icon="good" title={texts.signIn.signedOut} />}
            {!signIn.error && to && <Notice tone="quiet" icon="silent" title={texts.signIn.ended} />}
            <PasswordForm busy={signIn.isPending} onSubmit={(name, password) => enter({ name, password })} />
            <div className={classes.help}>
              <p>{linkRefused ? texts.signIn.linkRemedy : texts.signIn.noPassword}</p>
              <CommandLine command={texts.signIn.command} />
            </div>
          </>
        )}
      </div>
    </main>
  );
}

function PasswordForm({ busy, onSubmit }: { busy: boolean; onSubmit: (name: string, password: string) => void }) {
  const [missing, setMissing] = useState<{ name?: boolean; password?: boolean }>({});
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const name = String(data.get('name') ?? '').trim();
    const password = String(data.get('password') ?? '');
    setMissing({ name: !name, password: !password });
    if (name && password) onSubmit(name, password);
  };
  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="sm">
        <TextInput
          name="name" label={texts.signIn.name} autoComplete="username" autoCapitalize="none" spellCheck={false} autoFocus
          error={missing.name && texts.signIn.missing.name}
        />
        <PasswordInput
          name="password" label={texts.signIn.password} autoComplete="current-password" error={missing.password && texts.signIn.missing.password}
          visibilityToggleIcon={({ reveal }) => <Icon name={reveal ? 'hide' : 'show'} size={17} />}
          visibilityToggleButtonProps={{ 'aria-label': texts.signIn.showPassword }}
        />
        <Button type="submit" fullWidth mt={6} loading={busy}>{texts.signIn.submit}</Button>
      </Stack>
    </form>
  );
}
