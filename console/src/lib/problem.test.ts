import { describe, expect, it } from 'vitest';

import { asProblem, Problem, problemOf, worthRetrying } from './problem';

const answer = (status: number, headers: Record<string, string> = {}) => new Response(null, { status, headers });

describe('a problem', () => {
  it('carries what the API said', () => {
    const p = problemOf(answer(422), {
      code: 'invalid', title: 'The input is not valid', detail: 'reason is empty',
      errors: [{ field: 'body.reason', message: 'is empty' }],
    });
    expect(p).toMatchObject({ code: 'invalid', status: 422, message: 'reason is empty' });
    expect(p.field('reason')).toBe('is empty');
    expect(p.field('name')).toBeUndefined();
  });

  it('has the title as text when there is no detail', () => {
    expect(problemOf(answer(403), { code: 'denied', title: 'You may not do this' }).message).toBe('You may not do this');
  });

  it.each([[undefined], ['<html>'], [{}], [null]])('is made of an answer without a reason: %j', (body) => {
    expect(problemOf(answer(502), body)).toMatchObject({ code: 'strange', status: 502 });
  });

  it('knows how long to wait', () => {
    expect(problemOf(answer(429, { 'Retry-After': '7' }), { code: 'too_many', title: 'x' }).retryAfter).toBe(7);
  });

  it('says that nobody answered', () => {
    expect(asProblem(new TypeError('Failed to fetch')).code).toBe('unreachable');
  });

  it('is retried only when waiting may help', () => {
    expect(worthRetrying(new TypeError('Failed to fetch'))).toBe(true);
    expect(worthRetrying(new Problem({ code: 'unavailable', title: '' }))).toBe(true);
    expect(worthRetrying(new Problem({ code: 'invalid', title: '' }))).toBe(false);
    expect(worthRetrying(new Error('x'))).toBe(false);
  });
});
