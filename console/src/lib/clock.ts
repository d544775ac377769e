// Ages are counted by the site's clock, not by that of the reader's machine:
// one that is an hour off would show every device as silent.

/** Differences below this are the path's, not the clock's. In milliseconds. */
const tolerated = 3000;

let offset = 0;

/** Takes the Date header of an answer. */
export function noteServerTime(header: string | null, local: number = Date.now()): void {
  if (!header) return;
  const server = Date.parse(header);
  if (Number.isNaN(server)) return;
  offset = Math.abs(server - local) > tolerated ? server - local : 0;
}

/** The time by the site's clock. */
export function siteNow(local: number = Date.now()): Date {
  return new Date(local + offset);
}
