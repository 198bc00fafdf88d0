/*
 * What the operators tell all who are online: stays until it is closed.
 */

import { say } from '../words.js';
import { $ } from './dom.js';

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });

export function startNotices(client) {
  client.on('notice', ({ text, from, time }) => {
    const notice = document.createElement('div');
    notice.className = 'notice';
    notice.role = 'alert';
    const words = document.createElement('p');
    const source = document.createElement('b');
    source.textContent = say('notice.from', { from, time: clock.format(time) });
    words.append(source, ' ', text);
    const close = document.createElement('button');
    close.type = 'button';
    close.textContent = say('close');
    close.addEventListener('click', () => notice.remove());
    notice.append(words, close);
    $('notices').append(notice);
  });
}
