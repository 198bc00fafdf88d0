/*
 * What stays until it is closed: what the operators tell all who are online, and what could not be sent and has no room.
 */

import { t } from '../strings.js';
import { $ } from './dom.js';

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });

export function startNotices(client) {
  client.on('notice', ({ text, from, time }) => {
    showNotice(t('notice.from', { from, time: clock.format(time) }), text);
  });
}

/** Shows a text, and before it what it is. */
export function showNotice(source, text) {
  const notice = document.createElement('div');
  notice.className = 'notice';
  notice.role = 'alert';
  const line = document.createElement('p');
  const what = document.createElement('b');
  what.textContent = source;
  line.append(what, ' ', text);
  const close = document.createElement('button');
  close.type = 'button';
  close.textContent = t('close');
  close.addEventListener('click', () => notice.remove());
  notice.append(line, close);
  $('notices').append(notice);
}

/** They are not for who comes next. */
export function clearNotices() {
  $('notices').replaceChildren();
}
