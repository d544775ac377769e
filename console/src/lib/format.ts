// How values are written. Everything is English with the reader's time zone;
// a value that is not known is written as a dash by whoever shows it.

const kibi = 1024;
const binaryUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const decimalUnits = ['', 'k', 'M', 'G', 'T', 'P'];

/** A number with at most three significant digits below 1000: 1.25, 12.5, 125, 1,250. */
export function short(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return grouped(Math.round(value));
  const digits = Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

/** A whole number with groups of three digits. */
export function grouped(value: number): string {
  return value.toLocaleString('en');
}

/** A size in bytes, in the binary unit that fits: 15.6 GiB. */
export function bytes(value: number): string {
  return scaled(value, kibi, binaryUnits, '');
}

/** A quantity in a decimal unit: 1 Gbit/s, 2.4 GHz. */
function decimal(value: number, unit: string, exponent = 0): string {
  return scaled(value * 1000 ** exponent, 1000, decimalUnits, unit);
}

function scaled(value: number, base: number, prefixes: string[], unit: string): string {
  let magnitude = Math.abs(value);
  let at = 0;
  // 1023.99 MiB would be rounded to 1,024 MiB, so go on a little earlier.
  while (at < prefixes.length - 1 && magnitude >= base - base / 2000) {
    magnitude /= base;
    at++;
  }
  return `${short(Math.sign(value) * magnitude)} ${prefixes[at]}${unit}`.trimEnd();
}

/** A number with its unit, as the inventory names units. */
export function quantity(value: number, unit: string): string {
  switch (unit) {
    case '':
      return String(value);
    case 'bytes':
      return bytes(value);
    case 'bit/s':
      return decimal(value, 'bit/s');
    case 'MHz':
      return decimal(value, 'Hz', 2);
    case 'minutes':
      return `${grouped(value)} min`;
    default:
      return `${grouped(value)} ${unit}`;
  }
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** A span of time in its largest unit: 8 ms, 12 s, 5 min, 3 h, 2 days. */
export function span(ms: number): string {
  const length = Math.abs(ms);
  if (length < second) return `${short(length)} ms`;
  if (length < 99.5 * second) return `${Math.round(length / second)} s`;
  if (length < 99.5 * minute) return `${Math.round(length / minute)} min`;
  if (length < 48 * hour) return `${Math.round(length / hour)} h`;
  if (length < 90 * day) return `${Math.round(length / day)} days`;
  if (length < 730 * day) return `${Math.round(length / (30.44 * day))} months`;
  return `${Math.round(length / (365.25 * day))} years`;
}

/** How long ago a time is, or how far ahead: 5 min ago, in 3 h. */
export function ago(time: Date, now: Date): string {
  const distance = now.getTime() - time.getTime();
  if (Math.abs(distance) < 5 * second) return 'just now';
  return distance > 0 ? `${span(distance)} ago` : `in ${span(distance)}`;
}

const exact = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit',
});
const exactWithZone = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short',
});
const dayOnly = new Intl.DateTimeFormat('en-GB', { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** Date and time to the second, in the reader's time zone. */
export function dateTime(time: Date): string {
  return exact.format(time);
}

/** Date and time to the second, with the time zone. */
export function dateTimeWithZone(time: Date): string {
  return exactWithZone.format(time);
}

/** The day, written out. */
export function dayOf(time: Date): string {
  return dayOnly.format(time);
}

/** The time of the day to the second. */
export function timeOfDay(time: Date): string {
  return clock.format(time);
}

/** A duration in the form of the API (5m, 12h, 7d) in words; other text as it is. */
export function duration(text: string): string {
  const match = /^(\d+)(s|m|h|d)$/.exec(text);
  if (!match) return text;
  const amount = Number(match[1]);
  const unit = { s: 'second', m: 'minute', h: 'hour', d: 'day' }[match[2] as 's' | 'm' | 'h' | 'd'];
  return `${amount} ${unit}${amount === 1 ? '' : 's'}`;
}

/** A name of the inventory in words: NumberOfLogicalProcessors → Number of logical processors. */
export function words(name: string): string {
  const parts = name
    .replace(/([a-z\d])([A-Z])/g, '$1 $2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1 $2')
    .split(/[\s_]+/);
  return parts.map((part, i) => wordOf(part, i === 0)).join(' ');
}

const spelled: Record<string, string> = {
  Bios: 'BIOS', Os: 'OS', Mtu: 'MTU', Fqdn: 'Full domain name', Uuid: 'UUID', Ip: 'IP', Dns: 'DNS', Id: 'ID',
  SMBIOSBIOS: 'SMBIOS BIOS', SMBIOSAsset: 'SMBIOS asset', NetConnection: 'Connection',
};

function wordOf(part: string, first: boolean): string {
  const known = spelled[part] ?? spelled[part.charAt(0).toUpperCase() + part.slice(1)];
  if (known) return known;
  if (/^[A-Z\d]{2,}$/.test(part)) return part;
  return first ? part.charAt(0).toUpperCase() + part.slice(1) : part.toLowerCase();
}

/** A count with its noun: 1 device, 2 devices. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : many}`;
}
