import { describe, expect, it } from 'vitest';

import { ago, bytes, count, duration, quantity, span, words } from './format';

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [1, '1 B'],
    [1023, '1,023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [1024 * 1024 - 1, '1 MiB'],
    [16_670_000_000, '15.5 GiB'],
    [1024 ** 6, '1,024 PiB'],
    [-2048, '-2 KiB'],
  ])('%d is %s', (value, text) => expect(bytes(value)).toBe(text));
});

describe('quantity', () => {
  it.each([
    [1000, '', '1000'],
    [1024, 'bytes', '1 KiB'],
    [1_000_000_000, 'bit/s', '1 Gbit/s'],
    [2_500_000_000, 'bit/s', '2.5 Gbit/s'],
    [100, 'bit/s', '100 bit/s'],
    [800, 'MHz', '800 MHz'],
    [2400, 'MHz', '2.4 GHz'],
    [3200, 'MT/s', '3,200 MT/s'],
    [24, 'bits', '24 bits'],
    [-60, 'minutes', '-60 min'],
  ])('%d %s is %s', (value, unit, text) => expect(quantity(value, unit)).toBe(text));
});

describe('times', () => {
  const now = new Date('2026-11-21T12:00:00Z');
  const at = (ms: number) => new Date(now.getTime() - ms);
  it.each([
    [0, 'just now'],
    [4_000, 'just now'],
    [-4_000, 'just now'],
    [12_000, '12 s ago'],
    [99_000, '99 s ago'],
    [100_000, '2 min ago'],
    [3_600_000, '60 min ago'],
    [7_200_000, '2 h ago'],
    [3 * 86_400_000, '3 days ago'],
    [-400 * 86_400_000, 'in 13 months'],
    [1500 * 86_400_000, '4 years ago'],
  ])('%d ms ago is %s', (ms, text) => expect(ago(at(ms), now)).toBe(text));

  it('writes short spans in milliseconds', () => {
    expect(span(0.42)).toBe('0.42 ms');
    expect(span(8)).toBe('8 ms');
  });
});

describe('duration', () => {
  it.each([
    ['5m', '5 minutes'],
    ['1d', '1 day'],
    ['0s', '0 seconds'],
    ['1h30m', '1h30m'],
    ['', ''],
  ])('%s is %s', (text, written) => expect(duration(text)).toBe(written));
});

describe('words', () => {
  it.each([
    ['NumberOfLogicalProcessors', 'Number of logical processors'],
    ['TotalPhysicalMemory', 'Total physical memory'],
    ['L2CacheSize', 'L2 cache size'],
    ['UUID', 'UUID'],
    ['MACAddress', 'MAC address'],
    ['DefaultIPGateway', 'Default IP gateway'],
    ['OS', 'OS'],
    ['Bios', 'BIOS'],
    ['IDLike', 'ID like'],
    ['polling_interval', 'Polling interval'],
    ['LastBootUpTime', 'Last boot up time'],
    ['SHA256Hash', 'SHA256 hash'],
    ['DNSServers', 'DNS servers'],
  ])('%s is written %s', (name, text) => expect(words(name)).toBe(text));
});

describe('count', () => {
  it('knows one and many', () => {
    expect(count(1, 'device')).toBe('1 device');
    expect(count(0, 'device')).toBe('0 devices');
    expect(count(1234, 'entry', 'entries')).toBe('1,234 entries');
  });
});
