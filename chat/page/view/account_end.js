/*
 * Signing out, and deleting the account. Both ask first, and name the rooms that are deleted
 * because nobody else is left in them.
 */

import { t } from '../strings.js';
import { ask, attempt } from './dialogs.js';
import { sentence } from './text.js';

// Rooms that a question names.
const MAX_NAMED = 10;

/** Signs out, after a question if the user loses something. `signedOut()` is called at the end. */
export function signOut({ client, model, signedOut }) {
  const loss = lossOfLogout(model.you, client.pending);
  const act = () => logOut({ client, model, signedOut }, {});
  if (!loss) return attempt(act);
  return ask({ title: t('account.logout_ask'), text: loss, yes: t('account.logout'), danger: true, act });
}

/** Ends the session. Returns a question if rooms would go with it that the user has not confirmed. */
async function logOut({ client, model, signedOut }, data) {
  try {
    await client.logout(data);
  } catch (error) {
    if (error.code !== 'last_member') throw error;
    const { rooms } = error;
    return {
      title: t('account.logout_ask'),
      text: sentence('account.logout_rooms', { count: rooms.length, names: namesOf(rooms, model) }),
      yes: t('account.logout_rooms_yes'),
      danger: true,
      act: () => logOut({ client, model, signedOut }, { remove: rooms }),
    };
  }
  signedOut();
  return null;
}

/**
 * Returns the question that deletes the account, for `ask`. A user with a password must enter it: only then do they
 * get to know which rooms go too. `error`: why they are asked again.
 */
export function deleteQuestion({ client, model, error = null }) {
  const { guest } = model.you;
  return {
    title: t('account.delete_ask'),
    text: t('account.delete_lead'),
    yes: t('account.delete'),
    danger: true,
    ...(!guest && { label: t('sign_in.password'), type: 'password' }),
    error,
    act: (password) => deleteAccount({ client, model }, guest ? {} : { password }),
  };
}

/** Deletes the account. Returns a question if rooms would go with it that the user has not confirmed. */
async function deleteAccount({ client, model }, data) {
  try {
    await client.emit('delete_account', data);
    return null;
  } catch (error) {
    // The question about rooms has no field for the password, which may be another one by now.
    if (error.code === 'bad_credentials' && data.remove) return deleteQuestion({ client, model, error });
    if (error.code !== 'last_member') throw error;
    const { rooms } = error;
    return {
      title: t('account.delete_ask'),
      text: sentence('account.delete_rooms', { count: rooms.length, names: namesOf(rooms, model) }),
      yes: t('account.delete_rooms_yes'),
      danger: true,
      act: () => deleteAccount({ client, model }, { ...data, remove: rooms }),
    };
  }
}

function namesOf(rooms, model) {
  const names = rooms.slice(0, MAX_NAMED).map((room) => model.nameOf(room));
  const more = rooms.length - names.length;
  return more > 0 ? [...names, t('account.delete_more', { count: more })] : names;
}

// What the user loses by signing out, or null.
function lossOfLogout({ guest }, unsent) {
  if (guest) return t('account.logout_guest');
  return unsent.length > 0 ? t('account.logout_unsent') : null;
}
