import { useParams } from '@tanstack/react-router';

import type { StateMessage } from '../../api/schema';
import { type Column, DataTable } from '../../components/DataTable';
import { Empty, ErrorNotice } from '../../components/Notice';
import { Panel } from '../../components/Panel';
import { Time } from '../../components/Time';
import { useApi } from '../../hooks/useApi';
import { texts } from '../../lib/texts';

const columns: Column<StateMessage>[] = [
  { id: 'topic', header: texts.stateMessages.topic, render: (m) => <span title={String(m.topic_type)}>{m.topic}</span> },
  { id: 'id', header: texts.stateMessages.topicId, render: (m) => m.topic_id },
  { id: 'state', header: texts.stateMessages.state, align: 'right', render: (m) => m.state_id },
  { id: 'detail', header: texts.stateMessages.detail, grow: true, render: (m) => m.detail },
  { id: 'time', header: texts.stateMessages.time, render: (m) => <Time value={m.time} /> },
  { id: 'received', header: texts.stateMessages.received, minor: true, render: (m) => <Time value={m.received_at} /> },
];

/** The states that things on a device are in, as the client says. */
export function StateMessages() {
  const { id } = useParams({ from: '/shell/devices/$id' });
  const messages = useApi('/devices/{id}/state-messages', { path: { id } });
  return (
    <Panel flush>
      {messages.error && <ErrorNotice error={messages.error} onRetry={() => void messages.refetch()} />}
      {messages.data?.items.length === 0
        ? <Empty icon="silent" title={texts.stateMessages.none} text={texts.stateMessages.noneText} />
        : !messages.error && (
          <DataTable
            label={texts.device.tabs.states} columns={columns} rows={messages.data?.items ?? []} loading={!messages.data}
            rowKey={(m) => `${m.topic_type} ${m.topic_id}`}
          />
        )}
    </Panel>
  );
}
