/*
 * Notices, which stay until they are closed: those from operators, and unsent messages whose room is gone.
 */

import { locale, t } from '../strings.js';
import { $ } from './dom.js';
import { showText } from './text.js';

const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'short' });

export function startNotices(client) {
  client.on('notice', ({ text, from, time }) => {
    showNotice(t('notice.from', { from, time: clock.format(time) }), text);
  });
}

/** Shows a notice: its source, then its text. */
export function showNotice(source, text) {
  const notice = document.createElement('div');
  notice.className = 'notice';
  notice.role = 'alert';
  const line = document.createElement('p');
  const what = document.createElement('b');
  what.textContent = source;
  const words = document.createElement('bdi');
  showText(words, text);
  line.append(what, ' ', words);
  const close = document.createElement('button');
  close.type = 'button';
  close.textContent = t('close');
  close.addEventListener('click', () => notice.remove());
  notice.append(line, close);
  $('notices').append(notice);
}

/** Removes all notices: the next user must not see them. */
export function clearNotices() {
  $('notices').replaceChildren();
}
