import { QueryCache, QueryClient } from '@tanstack/react-query';

import { asProblem, worthRetrying } from './lib/problem';

/** Makes the one place where the site's data is while it is shown. */
export function makeQueryClient(): QueryClient {
  const client: QueryClient = new QueryClient({
    queryCache: new QueryCache({
      // A session that has ended shows wherever something is read next; asking
      // for it says so, and the shell leads to the sign-in.
      onError: (error, query) => {
        if (asProblem(error).code === 'unauthorized' && query.queryKey[0] !== '/session') void client.invalidateQueries({ queryKey: ['/session'] });
      },
    }),
    defaultOptions: {
      queries: {
        // Changes are announced; this is for what was announced while the
        // window was away.
        staleTime: 10_000,
        retry: (failures, error) => failures < 3 && worthRetrying(error),
        retryDelay: (failures, error) => (asProblem(error).retryAfter ?? Math.min(2 ** failures, 15)) * 1000,
        // What failed for want of a server is asked again until there is one.
        refetchInterval: (query) => (query.state.status === 'error' && worthRetrying(query.state.error) ? 10_000 : false),
        // The site may be on a network that the browser takes for none.
        networkMode: 'always',
      },
      mutations: { networkMode: 'always' },
    },
  });
  return client;
}
