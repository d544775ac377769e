// Our own drawings: lines on a grid of 20, two units of air at the edge.

const drawings = {
  site: 'M3 5.5h14v4H3zM3 11.5h14v4H3zM6 7.5h.01M6 13.5h.01M9 7.5h5M9 13.5h5',
  device: 'M3 4h14v9H3zM7.5 16.5h5M10 13v3.5',
  registration: 'M8.5 9a2.75 2.75 0 1 0 0-5.5 2.75 2.75 0 0 0 0 5.5zM3 16.5c0-3 2.4-5 5.5-5 1 0 2 .2 2.8.6M12.5 14.5l1.8 1.8 3.2-3.6',
  search: 'M8.75 14a5.25 5.25 0 1 0 0-10.5 5.25 5.25 0 0 0 0 10.5zM12.6 12.6l4.1 4.1',
  filter: 'M3 5h14M5.5 10h9M8.5 15h3',
  up: 'M10 15.5v-11M5.5 9 10 4.5 14.5 9',
  down: 'M10 4.5v11M5.5 11l4.5 4.5 4.5-4.5',
  close: 'M5 5l10 10M15 5 5 15',
  good: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM6.8 10.2l2.3 2.3 4.2-4.7',
  warning: 'M10 3.5 17.5 16.5h-15zM10 8.5v3.5M10 14.2h.01',
  bad: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM7.5 7.5l5 5M12.5 7.5l-5 5',
  unknown: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM7 10h6',
  silent: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 6v4.2l2.7 1.6',
  blocked: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM5.2 5.2l9.6 9.6',
  light: 'M10 13a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM10 2.5v1.5M10 16v1.5M2.5 10H4M16 10h1.5M4.7 4.7l1 1M14.3 14.3l1 1M4.7 15.3l1-1M14.3 5.7l1-1',
  dark: 'M16.5 11.8A7 7 0 0 1 8.2 3.5a7 7 0 1 0 8.3 8.3z',
  system: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 3v14M12.5 3.5v13M14.8 5v10',
  user: 'M10 10a3.25 3.25 0 1 0 0-6.5 3.25 3.25 0 0 0 0 6.5zM3.5 17c.4-3.2 3-5 6.5-5s6.1 1.8 6.5 5',
  leave: 'M11.5 6V3.5H4v13h7.5V14M8.5 10h8.5M14 7l3 3-3 3',
  menu: 'M3 5.5h14M3 10h14M3 14.5h14',
  left: 'M12 5l-5 5 5 5',
  right: 'M8 5l5 5-5 5',
  open: 'M5 8l5 5 5-5',
  reload: 'M16 10a6 6 0 1 1-1.8-4.3M16.2 3v3.2H13',
  copy: 'M7 7V3.5h9.5V13H13M3.5 7H13v9.5H3.5z',
  added: 'M10 4.5v11M4.5 10h11',
  removed: 'M4.5 10h11',
  changed: 'M4 7.5h11M12 4.5l3 3-3 3M16 12.5H5M8 9.5l-3 3 3 3',
  show: 'M2.5 10c1.6-3.2 4.3-5 7.5-5s5.9 1.8 7.5 5c-1.6 3.2-4.3 5-7.5 5s-5.9-1.8-7.5-5zM10 12.25a2.25 2.25 0 1 0 0-4.5 2.25 2.25 0 0 0 0 4.5z',
  hide: 'M3.5 3.5l13 13M7.9 5.3c.7-.2 1.4-.3 2.1-.3 3.2 0 5.9 1.8 7.5 5-.6 1.1-1.3 2.1-2.2 2.9M5.3 6.7C4.1 7.5 3.2 8.6 2.5 10c1.6 3.2 4.3 5 7.5 5 1.2 0 2.3-.2 3.3-.7',
  none: 'M4 8.5 6 4h8l2 4.5v7.5H4zM4 8.5h3.5l1 2h3l1-2H16',
} as const;

export type IconName = keyof typeof drawings;

interface Props {
  name: IconName;
  /** Edge length in pixels. */
  size?: number;
  /** What it means, where no text beside it says so. */
  label?: string;
}

/** A small drawing in the colour of the text. */
export function Icon({ name, size = 18, label }: Props) {
  return (
    <svg
      width={size} height={size} viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth={1.6} strokeLinecap="round" strokeLinejoin="round"
      focusable="false" className="icon" {...(label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': true })}
    >
      <path d={drawings[name]} />
    </svg>
  );
}
