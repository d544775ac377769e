import { keepPreviousData, useInfiniteQuery, useMutation, useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query';

import { type Answer, get, type GetPath, type Input, send, type SendMethod, type SendPath } from '../api/client';
import type { Problem } from '../lib/problem';

interface Options {
  /** Read only when this holds; absent means always. */
  enabled?: boolean;
  /** Show what was there until the new answer has come: for pages of a list. */
  keep?: boolean;
  /** Read again after so many milliseconds, for what nobody announces. */
  every?: number;
}

/** The one query hook: what a path answers, live. */
export function useApi<P extends GetPath>(path: P, input: Input<P, 'get'>, options: Options = {}): UseQueryResult<Answer<P, 'get'>, Problem> {
  return useQuery<Answer<P, 'get'>, Problem>({
    queryKey: [path, input],
    queryFn: ({ signal }) => get(path, input, signal),
    enabled: options.enabled ?? true,
    ...(options.keep ? { placeholderData: keepPreviousData } : {}),
    ...(options.every ? { refetchInterval: options.every } : {}),
  });
}

type Item<A> = A extends { items: (infer T)[] } ? T : never;

/** All pages of a list that were asked for, one after the other. */
export function useApiPages<P extends GetPath>(path: P, input: Input<P, 'get'>) {
  const query = useInfiniteQuery({
    queryKey: [path, input, 'pages'],
    queryFn: ({ signal, pageParam }) => {
      const cursor = pageParam ? { cursor: pageParam } : {};
      return get(path, { ...input, query: { ...(input.query as object), ...cursor } } as Input<P, 'get'>, signal);
    },
    initialPageParam: '',
    getNextPageParam: (page) => (page as unknown as { next?: string }).next || undefined,
  });
  const items = (query.data?.pages ?? []).flatMap((page) => (page as unknown as { items: Item<Answer<P, 'get'>>[] }).items);
  return { ...query, items, error: query.error as Problem | null };
}

/** The one hook to do something; what it touched is read again. */
export function useSend<M extends SendMethod, P extends SendPath<M>>(method: M, path: P) {
  const queries = useQueryClient();
  return useMutation<Answer<P, M>, Problem, Input<P, M>>({
    mutationFn: (input) => send(method, path, input),
    // The provider announces it too; this does not wait for that.
    onSuccess: () => void queries.invalidateQueries({ predicate: (query) => query.queryKey[0] !== '/inventory-classes' }),
  });
}
