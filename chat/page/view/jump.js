/*
 * The search above the list of rooms: below the user's own rooms that match, it lists other users and public rooms.
 */

import { fold } from '../names.js';
import { t } from '../strings.js';
import { $, debounced, setText, showItems } from './dom.js';
import { foundElement } from './room_search.js';
import { clearFilter } from './rooms.js';
import { userElement } from './user_picker.js';

const SEARCH_AFTER = 250;
const MAX_FOUND = 5; // of each kind
const NONE = { text: '', users: [], rooms: [] };

/** `message(name)` opens the conversation with a user, `open(room)` opens a room. */
export function startJump({ client, model, message, open }) {
  let found = NONE; // what the server has found for this text
  let searches = 0; // counts searches, to ignore the replies to earlier ones

  const wanted = () => $('filter').value.trim();

  // Until the server has answered for the text in the field, only those are shown that match it too.
  const matches = ({ name }) => found.text === wanted() || fold(name).includes(fold(wanted()));

  const render = () => {
    const own = new Set([...model.rooms.values()].filter(({ kind }) => kind === 'direct').map(({ name }) => name));
    const isOther = ({ name }) => name !== model.you?.name && !own.has(name);
    const users = found.users.filter((user) => isOther(user) && matches(user)).slice(0, MAX_FOUND);
    const rooms = found.rooms.filter((room) => !model.rooms.has(room.room) && matches(room)).slice(0, MAX_FOUND);
    showItems($('jump-users'), users.map((user) => userElement(user, () => {
      message(user.name);
      clearFilter();
    })));
    showItems($('jump-rooms'), rooms.map((room) => foundElement(room, model, () => {
      open(room.room);
      clearFilter();
    })));
    $('jump-users-part').hidden = users.length === 0;
    $('jump-rooms-part').hidden = rooms.length === 0;
    const isAnswered = wanted() !== '' && found.text === wanted();
    const isEmpty = isAnswered && $('rooms').querySelector('li') === null;
    setText($('jump-none'), isEmpty ? t('rooms.no_match') : '');
  };

  const search = async () => {
    const text = wanted();
    const number = ++searches;
    let next = { ...NONE, text };
    if (text) {
      try {
        const [{ people }, { rooms }] = await Promise.all([
          client.emit('people', { search: text }),
          client.emit('rooms', { search: text }),
        ]);
        next = { text, users: people, rooms };
      } catch {
        // The list still shows the user's own rooms.
      }
    }
    if (number !== searches) return;
    found = next;
    render();
  };
  const searchSoon = debounced(SEARCH_AFTER, search);

  model.watch(['rooms', 'you'], render);
  $('filter').addEventListener('input', () => {
    searches += 1;
    if (wanted()) searchSoon();
    else found = NONE;
    render();
  });
}
