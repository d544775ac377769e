// What goes wrong between the console and a provider, as one type: the API
// answers every error as a problem (RFC 9457); a provider that cannot be
// reached answers nothing.

/** One field that is wrong. */
export interface FieldProblem {
  field: string;
  message: string;
}

/** Codes beside those of the API. */
export const codeUnreachable = 'unreachable';
export const codeStrange = 'strange';

/** An error with a code to decide by and a text for people. */
export class Problem extends Error {
  readonly code: string;
  readonly title: string;
  readonly status: number;
  readonly fields: FieldProblem[];
  /** Finds the problem in the provider's log. */
  readonly request: string | undefined;
  /** Seconds to wait before another try makes sense. */
  readonly retryAfter: number | undefined;

  constructor(p: { code: string; title: string; detail?: string; status?: number; fields?: FieldProblem[]; request?: string; retryAfter?: number }) {
    super(p.detail || p.title);
    this.name = 'Problem';
    this.code = p.code;
    this.title = p.title;
    this.status = p.status ?? 0;
    this.fields = p.fields ?? [];
    this.request = p.request;
    this.retryAfter = p.retryAfter;
  }

  /** What is wrong with the named field, whatever place it is in. */
  field(name: string): string | undefined {
    return this.fields.find((f) => f.field === name || f.field.endsWith(`.${name}`))?.message;
  }
}

/** The problem in an answer that is no success. */
export function problemOf(response: Response, body: unknown): Problem {
  const retryAfter = Number(response.headers.get('Retry-After')) || undefined;
  const common = { status: response.status, ...(retryAfter ? { retryAfter } : {}) };
  if (typeof body !== 'object' || body === null || !('code' in body) || !('title' in body)) {
    return new Problem({ code: codeStrange, title: `The server answered ${response.status} and no reason`, ...common });
  }
  const p = body as { code: string; title: string; detail?: string; errors?: FieldProblem[]; request?: string };
  return new Problem({
    code: p.code,
    title: p.title,
    ...(p.detail ? { detail: p.detail } : {}),
    ...(p.errors ? { fields: p.errors } : {}),
    ...(p.request ? { request: p.request } : {}),
    ...common,
  });
}

/** The problem that any caught error is. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof TypeError) {
    // This is how fetch says that there was no answer.
    return new Problem({ code: codeUnreachable, title: 'The provider cannot be reached' });
  }
  return new Problem({ code: codeStrange, title: 'The console failed', detail: error instanceof Error ? error.message : String(error) });
}

/** Whether asking again by itself may help. */
export function worthRetrying(error: unknown): boolean {
  return ['unavailable', 'too_many', codeUnreachable].includes(asProblem(error).code);
}
