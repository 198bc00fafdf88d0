/*
 * A connection to the chat. It knows the meaning of two events only: after `welcome`
 * the connection counts as open, and after `expired` it does not reconnect until
 * `connect` is called.
 */

import { Connection } from './connection.js';
import { ChatError } from './error.js';

const PROTOCOL = 'switchboard.v1';
const EXPIRED = 4001;

// `[event, data, id]`; a reply has the id of its request and is the event `ack` or `error`.
const parser = {
  encode: ({ name, data, id }) => JSON.stringify(id === undefined ? [name, data] : [name, data, id]),
  decode: (text) => {
    const [name, data, id] = JSON.parse(text);
    if (id === undefined) return { name, data };
    if (name === 'ack') return { ack: id, data };
    return name === 'error' ? { ack: id, error: data ?? {} } : { name, data };
  },
};

/**
 * Returns a connection to the chat at `url`, as a user with this session `token` or with the cookie of the session.
 * `onEvent(event, data)` is called for each event that is not a reply, `onStatus(status)` at each change of the status,
 * see `Connection`. To its states comes `expired`: the session has ended, for `reason`; only `connect` reconnects.
 */
export function connectionToChat({ url, token = null, times, onEvent, onStatus }) {
  let expired = null;
  const connection = new Connection({
    url: () => {
      expired = null;
      return url;
    },
    protocols: PROTOCOL,
    parser,
    times,
    onSocketOpen: () => {
      if (token) connection.send({ name: 'auth', data: { token } });
    },
    opening: 'welcome',
    beat: () => connection.send({ name: 'beat' }),
    onEvent: (event, data) => {
      if (event === 'expired') expired = data;
      onEvent(event, data);
    },
    onStatus,
    afterClose: ({ code }) => {
      if (!expired && code !== EXPIRED) return undefined;
      return { status: { state: 'expired', reason: expired?.reason ?? 'unknown' } };
    },
    makeError: (code, message, { event, answer }) => {
      if (!answer) return new ChatError(code, message);
      return new ChatError(answer.code ?? 'unknown', answer.message, { event, rooms: answer.rooms });
    },
  });
  return connection;
}
