/*
 * The connection status, with the seconds until the next try while disconnected.
 */

import { errorText, t } from '../strings.js';
import { $, setText } from './dom.js';

const POLICY_VIOLATION = 1008;
// A connection that recovers at once is not announced.
const ANNOUNCED_AFTER = 1_500;

/** Shows the state of this client's connection. */
export function startConnection(client) {
  let countdown;
  let announcing;
  client.on('state', (status) => {
    clearInterval(countdown);
    // Unlike Date.now(), performance.now() is never set.
    const retryAt = performance.now() + status.retryAt - Date.now();
    if (status.state === 'waiting') countdown = setInterval(() => show(status, retryAt), 250);
    $('connection').dataset.state = status.state;
    $('retry-now').hidden = status.state !== 'waiting';
    show(status, retryAt);
    clearTimeout(announcing);
    const text = t(`connection.announce_${status.state}`);
    announcing = setTimeout(() => setText($('connection-announcement'), text), ANNOUNCED_AFTER);
  });
  $('retry-now').addEventListener('click', () => client.retryNow());
}

function show({ state, code }, retryAt) {
  const refused = code === POLICY_VIOLATION ? `${errorText({ code: 'too_many_connections' })} ` : '';
  const count = Math.max(1, Math.ceil((retryAt - performance.now()) / 1000));
  const text = state === 'waiting' ? t('connection.waiting', { count }) : t(`connection.${state}`);
  setText($('connection-text'), refused + text);
}
