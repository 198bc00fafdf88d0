/*
 * The account dialog: password, sessions, blocked users; for operators, a notice to all
 * users. `account_end.js` has sign-out and deletion.
 */

import { byName } from '../names.js';
import { locale, t } from '../strings.js';
import { deleteQuestion, signOut } from './account_end.js';
import { ask, attempt, clearForm, submitHandler, toast } from './dialogs.js';
import { $, clearAvatar, find, fromTemplate, setText, showAvatar, showItems } from './dom.js';
import { roveFocus } from './roving.js';
import { userElement } from './user_picker.js';

const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });

/**
 * `signedOut()` is called after the user has signed out. Returns `clear()`, which removes what the dialog shows of the
 * user.
 */
export function startAccount({ client, model, signedOut }) {
  const avatars = [$('account-open'), $('account-dialog')].map((place) => find(place, '.avatar'));
  const showYou = () => {
    if (!model.you) return;
    const { name, guest, operator } = model.you;
    avatars.forEach((avatar) => showAvatar(avatar, name));
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
    const { you } = model;
    const { sessions } = await client.emit('sessions');
    if (you !== model.you) return;
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
      // The response renews the cookie of this device. If it does not come, that of the page's next load does.
      client.session().catch(() => {});
      toast(t('account.password_changed'));
    },
    fieldOf: ({ code }) => $(code === 'bad_password' ? 'password-new' : 'password-old'),
  });
  onSubmit($('notice-form'), {
    action: () => client.emit('notice', { text: $('notice-text').value.trim() }),
    fieldOf: () => $('notice-text'),
  });

  $('logout').addEventListener('click', () => signOut({ client, model, signedOut }));
  $('delete-account').addEventListener('click', () => ask(deleteQuestion({ client, model })));

  return () => {
    avatars.forEach(clearAvatar);
    for (const place of [find($('account-open'), '.name'), $('account-name')]) place.textContent = '';
    $('password-for').defaultValue = '';
    $('session-list').replaceChildren();
    for (const form of [$('password-form'), $('notice-form')]) clearForm(form);
  };
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

// On success the form is cleared and folded.
function onSubmit(form, { action, fieldOf }) {
  const done = () => {
    clearForm(form);
    form.closest('details').open = false;
    find(form.closest('details'), 'summary').focus();
  };
  form.addEventListener('submit', submitHandler(form, { note: find(form, '.error'), action, done, fieldOf }));
}
