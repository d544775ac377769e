import { ActionIcon, Button, Checkbox, Group, NativeSelect, Popover, Stack, TextInput, Tooltip } from '@mantine/core';
import { useState } from 'react';

import type { Condition } from '../lib/filter';
import { texts } from '../lib/texts';
import classes from './ColumnFilter.module.css';
import { Icon } from './Icon';

/** How a column can be filtered. */
export type FilterKind = { kind: 'text' } | { kind: 'choice'; options: Record<string, string> } | { kind: 'age' };

interface Props {
  column: string;
  header: string;
  filter: FilterKind;
  /** The conditions on this column. */
  conditions: Condition[];
  onChange: (conditions: Condition[]) => void;
}

/** The filter of one column: a button in its header that opens a small form. */
export function ColumnFilter(props: Props) {
  const [opened, setOpened] = useState(false);
  const label = texts.list.filterBy(props.header);
  const active = props.conditions.length > 0;
  return (
    <Popover opened={opened} onChange={setOpened} trapFocus returnFocus position="bottom-start" withinPortal>
      <Popover.Target>
        <Tooltip label={label} disabled={opened}>
          <ActionIcon
            variant="subtle" color={active ? 'stay' : 'gray'} size="sm" aria-label={label} aria-pressed={active}
            className={classes.button} data-active={active || undefined} onClick={() => setOpened(!opened)}
          >
            <Icon name="filter" size={14} />
          </ActionIcon>
        </Tooltip>
      </Popover.Target>
      <Popover.Dropdown aria-label={label}>
        <FilterForm {...props} onDone={() => setOpened(false)} />
      </Popover.Dropdown>
    </Popover>
  );
}

function FilterForm({ column, header, filter, conditions, onChange, onDone }: Props & { onDone: () => void }) {
  const [draft, setDraft] = useState(() => conditions[0]);
  const apply = () => {
    const values = draft?.values.filter((value) => value.trim() !== '') ?? [];
    onChange(draft && values.length > 0 ? [{ ...draft, values }] : []);
    onDone();
  };
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        event.stopPropagation();
        apply();
      }}
    >
      <Stack gap="sm">
        {filter.kind === 'text' && (
          <TextInput
            data-autofocus size="xs" label={`${header} ${texts.list.contains}`} value={draft?.values[0] ?? ''}
            onChange={(event) => setDraft({ column, operator: '~', values: [event.currentTarget.value] })}
          />
        )}
        {filter.kind === 'choice' && (
          <Checkbox.Group label={header} value={draft?.values ?? []} onChange={(values) => setDraft({ column, operator: '=', values })}>
            <Stack gap={6} mt={6}>
              {Object.entries(filter.options).map(([value, label]) => <Checkbox key={value} size="xs" value={value} label={label} />)}
            </Stack>
          </Checkbox.Group>
        )}
        {filter.kind === 'age' && (
          <NativeSelect
            data-autofocus size="xs" label={header} data={ageChoices()} value={draft ? `${draft.operator}${draft.values[0]}` : ''}
            onChange={(event) => setDraft(event.currentTarget.value ? ageCondition(column, event.currentTarget.value) : undefined)}
          />
        )}
        <Group gap="xs" justify="flex-end">
          <Button size="compact-xs" variant="default" onClick={() => { onChange([]); onDone(); }}>{texts.list.clear}</Button>
          <Button size="compact-xs" type="submit">{texts.list.apply}</Button>
        </Group>
      </Stack>
    </form>
  );
}

function ageChoices() {
  const ages = Object.entries(texts.list.ages);
  return [
    { value: '', label: texts.list.any },
    ...ages.map(([age, words]) => ({ value: `>=${age}`, label: texts.list.within(words) })),
    ...ages.map(([age, words]) => ({ value: `<${age}`, label: texts.list.before(words) })),
  ];
}

function ageCondition(column: string, value: string): Condition {
  return value.startsWith('>=') ? { column, operator: '>=', values: [value.slice(2)] } : { column, operator: '<', values: [value.slice(1)] };
}

/** A condition in words, for its chip. */
export function describeCondition(condition: Condition, header: string, filter: FilterKind | undefined): string {
  const { operator, values } = condition;
  if (filter?.kind === 'age') {
    const age = texts.list.ages[values[0] ?? ''] ?? values[0] ?? '';
    if (operator === '>=') return `${header} ${texts.list.within(age)}`;
    if (operator === '<') return `${header} ${texts.list.before(age)}`;
  }
  const shown = filter?.kind === 'choice' ? values.map((value) => filter.options[value] ?? value) : values;
  return `${header} ${operator === '~' ? texts.list.contains : operator} ${shown.join(', ')}`;
}
