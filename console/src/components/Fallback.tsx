import { Button } from '@mantine/core';
import { Link } from '@tanstack/react-router';

import { useTitle } from '../hooks/useTitle';
import { texts } from '../lib/texts';
import { Empty, ErrorNotice } from './Notice';

/** An address that leads nowhere. */
export function NotFound() {
  useTitle(texts.notFound.title);
  return <Empty icon="search" title={texts.notFound.title} text={texts.notFound.text} actions={<Link to="/" className="link">{texts.notFound.back}</Link>} />;
}

/** For somebody who may see no page. */
export function NothingAllowed() {
  useTitle(undefined);
  return <Empty icon="blocked" title={texts.nothingAllowed.title} text={texts.nothingAllowed.text} />;
}

/** A page that failed, such as one whose script could not be loaded after the program was replaced. */
export function Failed({ error }: { error: unknown }) {
  return (
    <div role="alert">
      <Empty
        icon="bad" title={texts.problem.failed}
        actions={<Button variant="default" onClick={() => window.location.reload()}>{texts.problem.reload}</Button>}
      />
      <ErrorNotice error={error} />
    </div>
  );
}
