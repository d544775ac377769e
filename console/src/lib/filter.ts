// The filter language of the API's lists, as far as the console writes it:
// conditions that must all hold, such as
//
//	name~web and os=debian,ubuntu and seen_at<7d
//
// The same text stands in the address of a page, so that a filtered list can
// be sent to somebody, and pasted after --filter of the command.

/** The operators of a condition. */
export const operators = ['!=', '!~', '<=', '>=', '=', '~', '<', '>'] as const;
export type Operator = (typeof operators)[number];

/** A column compared with values; several values mean any of them. */
export interface Condition {
  column: string;
  operator: Operator;
  values: string[];
}

/** Writes conditions as a filter; no conditions are an empty one. */
export function formatFilter(conditions: Condition[]): string {
  return conditions.map((c) => `${c.column}${c.operator}${c.values.map(quoted).join(',')}`).join(' and ');
}

function quoted(value: string): string {
  if (value !== '' && !/[\s,"]/.test(value)) return value;
  return `"${value.replace(/[\\"]/g, '\\$&')}"`;
}

const condition = /\s*([\p{L}\p{N}_]+)\s*(!=|!~|<=|>=|=|~|<|>)/uy;
const value = /\s*(?:"((?:[^"\\]|\\["\\]|\\)*)"|([^\s,"]+))/y;
const comma = /\s*,/y;
const and = /\s+and(?=\s)/iy;

/**
 * Reads a filter that came from an address. Text that is no filter gives
 * undefined: the page then shows the whole list.
 */
export function parseFilter(text: string): Condition[] | undefined {
  const conditions: Condition[] = [];
  let at = 0;
  const next = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match;
  };
  while (text.slice(at).trim() !== '') {
    if (conditions.length > 0 && !next(and)) return undefined;
    const head = next(condition);
    if (!head) return undefined;
    const values: string[] = [];
    do {
      const found = next(value);
      if (!found) return undefined;
      values.push(found[1] === undefined ? found[2]! : found[1].replace(/\\(["\\])/g, '$1'));
    } while (next(comma));
    conditions.push({ column: head[1]!, operator: head[2] as Operator, values });
  }
  return conditions;
}

/** The conditions with those on one column replaced; none to leave the column out. */
export function withColumn(conditions: Condition[], column: string, replacement: Condition[]): Condition[] {
  return [...conditions.filter((c) => c.column !== column), ...replacement];
}
