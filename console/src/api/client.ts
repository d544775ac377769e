// The one way from the console to a provider. Everything that is read or done
// goes through get and send, with types from the committed API document.

import createClient from 'openapi-fetch';

import { noteServerTime } from '../lib/clock';
import { asProblem, problemOf } from '../lib/problem';
import type { paths } from './schema';

const base = '/api/v1';
const client = createClient<paths>({ baseUrl: base, fetch: timedFetch });

/** Where server-sent events come from. */
export const eventsAddress = `${base}/events`;

type WithMethod<M extends string> = { [P in keyof paths]: paths[P] extends { [K in M]: { responses: unknown } } ? P : never }[keyof paths];

/** The paths that can be read. */
export type GetPath = WithMethod<'get'>;
export type SendMethod = 'post' | 'put' | 'patch' | 'delete';
export type SendPath<M extends SendMethod> = WithMethod<M>;

type Operation<P extends keyof paths, M extends string> = paths[P] extends { [K in M]: infer O } ? O : never;
type Query<O> = O extends { parameters: { query?: infer Q } } ? Q : never;
type Path<O> = O extends { parameters: { path: infer T } } ? T : never;
type Body<O> = O extends { requestBody: { content: { 'application/json': infer B } } } ? B : never;

/** What an operation takes. */
export type Input<P extends keyof paths, M extends string> = {
  path?: Path<Operation<P, M>>;
  query?: Query<Operation<P, M>>;
  body?: Body<Operation<P, M>>;
} & ([Path<Operation<P, M>>] extends [never] ? unknown : { path: Path<Operation<P, M>> }) &
  ([Body<Operation<P, M>>] extends [never] ? unknown : { body: Body<Operation<P, M>> });

/** What an operation answers; undefined where it answers nothing. */
export type Answer<P extends keyof paths, M extends string> =
  Operation<P, M> extends { responses: infer R }
    ? R extends { 200: { content: { 'application/json': infer A } } }
      ? A
      : R extends { 201: { content: { 'application/json': infer A } } }
        ? A
        : undefined
    : never;

interface Result {
  data?: unknown;
  error?: unknown;
  response: Response;
}
type Call = (path: string, init: object) => Promise<Result>;

/** Reads; throws a Problem. */
export function get<P extends GetPath>(path: P, input: Input<P, 'get'>, signal?: AbortSignal): Promise<Answer<P, 'get'>> {
  return call('get', path, input, signal) as Promise<Answer<P, 'get'>>;
}

/** Does something; throws a Problem. */
export function send<M extends SendMethod, P extends SendPath<M>>(method: M, path: P, input: Input<P, M>): Promise<Answer<P, M>> {
  return call(method, path, input) as Promise<Answer<P, M>>;
}

async function call(method: 'get' | SendMethod, path: string, input: object, signal?: AbortSignal): Promise<unknown> {
  const { path: inPath, query, body } = input as { path?: unknown; query?: unknown; body?: unknown };
  const init = { params: { path: inPath, query }, ...(body === undefined ? {} : { body }), ...(signal ? { signal } : {}) };
  const name = method.toUpperCase() as 'GET';
  let result: Result;
  try {
    result = await (client[name] as unknown as Call)(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw asProblem(error);
  }
  if (!result.response.ok) throw problemOf(result.response, result.error);
  return result.data;
}

async function timedFetch(request: Request): Promise<Response> {
  const response = await fetch(request);
  noteServerTime(response.headers.get('Date'));
  return response;
}
