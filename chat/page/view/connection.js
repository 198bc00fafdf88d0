/*
 * The state of the connection, with the seconds until the next try while there is none.
 */

import { say, sentenceOf } from '../words.js';
import { $, setText } from './dom.js';

const POLICY_VIOLATION = 1008;
// A connection that comes back at once is not worth a word.
const SPOKEN_AFTER = 1_500;

/** Shows the state of this client's connection. */
export function startConnection(client) {
  let countdown;
  let speaking;
  client.on('state', (status) => {
    clearInterval(countdown);
    if (status.state === 'waiting') countdown = setInterval(() => showText(status), 250);
    $('connection').dataset.state = status.state;
    $('retry-now').hidden = status.state !== 'waiting';
    showText(status);
    clearTimeout(speaking);
    const words = say(`connection.spoken_${status.state}`);
    speaking = setTimeout(() => setText($('connection-spoken'), words), SPOKEN_AFTER);
  });
  $('retry-now').addEventListener('click', () => client.retryNow());
}

function showText({ state, code, retryAt }) {
  const refused = code === POLICY_VIOLATION ? `${sentenceOf({ code: 'too_many_connections' })} ` : '';
  const count = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
  const words = state === 'waiting' ? say('connection.waiting', { count }) : say(`connection.${state}`);
  setText($('connection-text'), refused + words);
}
