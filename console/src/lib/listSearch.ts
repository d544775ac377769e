// What a list keeps in the address of its page.

/** The reader's choices; absent where there is none. */
export interface ListSearch {
  /** Part of a name. */
  search?: string;
  /** Conditions in the filter language of the API. */
  filter?: string;
  /** Column, with - before it for descending order. */
  sort?: string;
  /** One of the page's views. */
  view?: string;
}

/** Reads the choices from an address and leaves out what is none. */
export function listSearch(search: Record<string, unknown>): ListSearch {
  const found: ListSearch = {};
  for (const key of ['search', 'filter', 'sort', 'view'] as const) {
    const value = search[key];
    if (typeof value === 'string' && value !== '') found[key] = value.slice(0, 4096);
  }
  return found;
}
