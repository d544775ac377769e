// Which changes make what was read old. The provider names topics; a query is
// known by its path. Each path that the console could read stands here, so a
// new one that is not live does not compile.

import type { GetPath } from './client';

export type Topic =
  | 'administrator' | 'audit' | 'client-setting' | 'component' | 'dead-letter' | 'device' | 'inventory'
  | 'registration' | 'session' | 'site' | 'state-message' | 'status-message' | 'token';

const topicsOf: Record<GetPath, readonly Topic[]> = {
  '/administrators': ['administrator'],
  '/administrators/{id}': ['administrator'],
  '/audit': ['audit'],
  '/audit/verification': ['audit'],
  '/client-setting-definitions': [],
  '/client-settings': ['client-setting'],
  '/client-settings/{id}': ['client-setting'],
  '/components': ['component'],
  '/dead-letters': ['dead-letter'],
  '/dead-letters/{id}': ['dead-letter'],
  '/devices': ['device'],
  '/devices/{id}': ['device'],
  '/devices/{id}/client-settings': ['client-setting'],
  '/devices/{id}/history': ['inventory'],
  '/devices/{id}/inventory': ['inventory'],
  '/devices/{id}/inventory/{class}': ['inventory'],
  '/devices/{id}/state-messages': ['state-message'],
  '/events': [],
  '/inventory-classes': [],
  '/openapi.json': [],
  '/registrations': ['registration'],
  '/roles': [],
  '/session': ['administrator', 'session'],
  '/sessions': ['session'],
  '/site': ['site', 'component', 'device', 'registration', 'dead-letter'],
  '/status-messages': ['status-message'],
  '/tokens': ['token'],
};

/** Whether a query on the path is touched by a change of one of the topics. */
export function touched(path: unknown, topics: ReadonlySet<string>): boolean {
  const known: readonly string[] = topicsOf[path as GetPath] ?? [];
  return known.some((topic) => topics.has(topic));
}
