import { useEffect } from 'react';

import { texts } from '../lib/texts';

/** Sets the title of the browser's window: the page, then the product. */
export function useTitle(title: string | undefined): void {
  useEffect(() => {
    document.title = title ? `${title} · ${texts.product}` : texts.product;
  }, [title]);
}
