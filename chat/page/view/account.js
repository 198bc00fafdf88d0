/*
 * The account dialog: password, sessions, blocked users, sign-out, deletion; for operators,
 * a notice to all users.
 */

import { byName } from '../names.js';
import { locale, t } from '../strings.js';
import { ask, attempt, submitHandler, toast } from './dialogs.js';
import { $, find, fromTemplate, setText, showAvatar, showItems } from './dom.js';
import { roveFocus } from './roving.js';
import { sentence } from './text.js';
import { userElement } from './user_picker.js';

// Rooms that a question names.
const MAX_NAMED = 10;

const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });

/** `signedOut()` is called after the user has signed out. */
export function startAccount({ client, model, signedOut }) {
  const showYou = () => {
    if (!model.you) return;
    const { name, guest, operator } = model.you;
    for (const place of [$('account-open'), $('account-dialog')]) showAvatar(find(place, '.avatar'), name);
    setText(find($('account-open'), '.name'), name);
    setText($('account-name'), name);
    setText($('account-kind'), kindOf(model.you));
    setText($('account-state'), kindOf(model.you));
    $('password-change').hidden = guest;
    $('password-for').defaultValue = name;
    setText($('password-new-hint'), t('account.password_hint'));
    $('notice-part').hidden = !operator;
  };
  const showBlocked = () => {
    const names = [...model.blocked].sort(byName);
    $('blocked-none').hidden = names.length > 0;
    showItems($('blocked-list'), names.map((name) => {
      const unblock = () => attempt(() => client.emit('unblock', { name }));
      return userElement({ name, aside: t('user.unblock') }, unblock);
    }), find($('blocked'), 'summary'));
  };
  const showSessions = () => attempt(async () => {
    const { sessions } = await client.emit('sessions');
    const elements = sessions.map((each) => sessionElement(each, () => revoke({ session: each.session })));
    $('session-list').replaceChildren(...elements);
    $('revoke-others').hidden = sessions.length < 2;
  });
  const revoke = async (which) => {
    if (await attempt(() => client.emit('revoke', which))) showSessions();
  };

  model.watch(['you'], showYou);
  model.watch(['blocked'], showBlocked);
  roveFocus($('session-list'), 'button');
  roveFocus($('blocked-list'), 'button');
  $('account-open').addEventListener('click', () => {
    $('account-dialog').querySelectorAll('details').forEach((part) => { part.open = false; });
    $('account-dialog').showModal();
  });
  $('sessions').addEventListener('toggle', () => $('sessions').open && showSessions());
  $('revoke-others').addEventListener('click', () => revoke({}));

  onSubmit($('password-form'), {
    action: async () => {
      await client.emit('password', { old: $('password-old').value, new: $('password-new').value });
      toast(t('account.password_changed'));
    },
    fieldOf: ({ code }) => $(code === 'bad_password' ? 'password-new' : 'password-old'),
  });
  onSubmit($('notice-form'), {
    action: () => client.emit('notice', { text: $('notice-text').value.trim() }),
    fieldOf: () => $('notice-text'),
  });

  const logOut = async () => {
    await client.logout();
    signedOut();
  };
  $('logout').addEventListener('click', () => {
    const loss = lossOfLogout(model.you, client.pending);
    if (!loss) return attempt(logOut);
    ask({ title: t('account.logout_ask'), text: loss, yes: t('account.logout'), danger: true, act: logOut });
  });
  $('delete-account').addEventListener('click', () => ask({
    title: t('account.delete_ask'),
    text: t('account.delete_text'),
    yes: t('account.delete'),
    danger: true,
    ...(!model.you.guest && { label: t('sign_in.password'), type: 'password' }),
    act: (password) => deleteAccount(client, model, model.you.guest ? {} : { password }),
  }));
}

/** Deletes the account. Returns a question if rooms would go with it that the user has not confirmed. */
async function deleteAccount(client, model, data) {
  try {
    await client.emit('delete_account', data);
    return null;
  } catch (error) {
    if (error.code !== 'last_member') throw error;
    const { rooms } = error;
    const names = rooms.slice(0, MAX_NAMED).map((room) => model.nameOf(room));
    const more = rooms.length - names.length;
    if (more > 0) names.push(t('account.delete_more', { count: more }));
    return {
      title: t('account.delete_ask'),
      text: sentence('account.delete_rooms', { count: rooms.length, names }),
      yes: t('account.delete_rooms_yes'),
      danger: true,
      act: () => deleteAccount(client, model, { ...data, remove: rooms }),
    };
  }
}

function kindOf({ guest, operator }) {
  if (operator) return t('account.operator');
  return t(guest ? 'account.guest' : 'account.member');
}

function nameOf({ program, system }) {
  if (program === 'app') return t('account.device_app');
  if (program && system) return t('account.device', { program, system });
  return program ?? system ?? t('account.device_unknown');
}

function sessionElement({ created, used, current, device }, revoke) {
  const element = fromTemplate('row-template');
  const [name, ...notes] = find(element, '.heading').children;
  const lastUsed = t('account.session_used', { time: moment.format(used) });
  name.textContent = nameOf(device);
  notes[0].textContent = current ? t('account.this_session') : lastUsed;
  notes[1].textContent = t('account.session_created', { time: moment.format(created) });
  const button = find(element, 'button');
  button.textContent = t('account.revoke');
  button.hidden = current;
  button.addEventListener('click', revoke);
  return element;
}

// What the user loses by signing out, or null.
function lossOfLogout({ guest }, unsent) {
  if (guest) return t('account.logout_guest');
  return unsent.length > 0 ? t('account.logout_unsent') : null;
}

// On success the form is cleared and folded.
function onSubmit(form, { action, fieldOf }) {
  const done = () => {
    form.reset();
    form.closest('details').open = false;
    find(form.closest('details'), 'summary').focus();
  };
  form.addEventListener('submit', submitHandler(form, { note: find(form, '.error'), action, done, fieldOf }));
}
