import { describe, expect, it } from 'vitest';

import document from '../../../role/provider/apiv1/openapi.json';
import { touched } from './topics';

describe('a change', () => {
  it.each([
    ['/devices', ['device'], true],
    ['/devices/{id}', ['device', 'site'], true],
    ['/devices/{id}/inventory/{class}', ['inventory'], true],
    ['/devices', ['inventory'], false],
    ['/site', ['component'], true],
    ['/inventory-classes', ['device', 'inventory'], false],
    ['/nothing', ['device'], false],
  ])('%s and %j: %s', (path, topics, is) => expect(touched(path, new Set(topics))).toBe(is));

  it('of every topic that the provider names touches something', () => {
    const description = document.paths['/events'].get.description;
    const named = /Topics: ([a-z, -]+)\./.exec(description)?.[1]?.split(', ') ?? [];
    expect(named.length).toBeGreaterThan(5);
    const paths = Object.keys(document.paths);
    for (const topic of named) {
      expect(paths.some((path) => touched(path, new Set([topic]))), `topic ${topic}`).toBe(true);
    }
  });
});
