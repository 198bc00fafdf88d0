//! Rooms: who may come in, who is in, and what its owner may do.

use serde_json::json;
use switchboard_browser::{Chat, Person};

/// Waits until the list of members beside the conversation is this.
#[track_caller]
fn sees_members(person: &Person, names: &[&str]) {
    person.wait_for_value("$$('#member-list [data-person]').map(({ dataset }) => dataset.person)", names);
}

/// Waits until the list of rooms is this.
#[track_caller]
fn is_in(person: &Person, names: &[&str]) {
    person.wait_for_value("$$('#room-list [data-room] .name').map(({ textContent }) => textContent)", names);
}

#[track_caller]
fn invite(person: &Person, name: &str) {
    person.click("#invite");
    person.click(&format!("#people-list [data-person={name}]"));
    person.wait_for(&format!("$('#toasts').textContent.includes({})", json!(name)));
    person.click("#people-dialog .close");
}

#[test]
fn who_is_invited_may_come_in_until_they_are_removed() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.person(name));
    ada.create_room("Den", "invited");
    sees_members(&ada, &["Ada"]);
    invite(&ada, "Ben");

    ben.wait_for_value("$('#invitation-list .name').textContent", "Den");
    ben.click("#invitation-list .accept");
    ben.wait_for_value("$('#room-name').textContent", "Den");
    is_in(&ben, &["Den", "Lobby"]);
    for person in [&ada, &ben] {
        sees_members(person, &["Ada", "Ben"]);
    }
    ben.say("Thank you for having me.");
    ada.reads(&[("Ben", "Thank you for having me.")]);

    ada.click("#member-list [data-person=Ben]");
    ada.click("#person-kick");
    ada.click("#ask-yes");
    ben.wait_for("$('#toasts').textContent.includes('You were removed from the room.')");
    is_in(&ben, &["Lobby"]);
    sees_members(&ada, &["Ada"]);
}

#[test]
fn who_is_banned_stays_out_until_an_owner_lets_them_in_again() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.person(name));
    ada.create_room("Den", "invited");
    ada.wait_for("$('#bans').hidden");
    invite(&ada, "Ben");
    ben.click("#invitation-list .accept");
    sees_members(&ben, &["Ada", "Ben"]);

    ada.click("#member-list [data-person=Ben]");
    ada.click("#person-ban");
    ada.click("#ask-yes");
    ben.wait_for("$('#toasts').textContent.includes('You were banned from the room.')");
    ada.wait_for_value("$$('#ban-list [data-person]').map(({ dataset }) => dataset.person)", ["Ben"]);
    ben.wait_for("$('#bans').hidden");

    ada.click("#ban-list [data-person=Ben]");
    ada.click("#ask-yes");
    ada.wait_for("$('#bans').hidden");
    invite(&ada, "Ben");
    ben.click("#invitation-list .accept");
    sees_members(&ada, &["Ada", "Ben"]);
}

#[test]
fn an_invitation_may_be_declined() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.person(name));
    ada.create_room("Den", "invited");
    invite(&ada, "Ben");
    ben.click("#invitation-list .decline");
    ben.wait_for_value("$$('#invitation-list [data-room]').length", 0);
    is_in(&ben, &["Lobby"]);
}

#[test]
fn a_public_room_is_found_joined_and_left() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.person(name));
    ada.create_room("Garden", "public");

    ben.look_for_rooms();
    ben.fill("#find-search", "gar");
    ben.wait_for_value("$$('#found-rooms .name').map(({ textContent }) => textContent)", json!(["Garden"]));
    ben.click("#found-rooms [data-room]");
    ben.wait_for_value("$('#room-name').textContent", "Garden");
    sees_members(&ada, &["Ada", "Ben"]);

    ben.click("#leave");
    ben.click("#ask-yes");
    is_in(&ben, &["Lobby"]);
    ben.wait_for_value("$('#room-name').textContent", "Lobby");
    sees_members(&ada, &["Ada"]);
}

#[test]
fn a_new_topic_is_seen_by_all_who_are_in_the_room() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.person(name));
    ada.create_room("Garden", "public");
    ben.look_for_rooms();
    ben.click_on("$$('#found-rooms button').find(({ innerText }) => innerText.includes('Garden'))");
    ben.wait_for_value("$('#room-name').textContent", "Garden");

    ada.click("#topic-edit");
    ada.fill("#ask-input", "What grows?");
    ada.click("#ask-yes");
    for person in [&ada, &ben] {
        person.wait_for_value(
            "[$('#room-topic').textContent, $('#about-topic').textContent]",
            json!(["What grows?", "What grows?"]),
        );
    }
}

#[test]
fn who_is_writing_is_shown_until_they_have_written() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.person(name));
    ben.fill("#text", "Let me th");
    ada.wait_for_value("$('#typing').textContent.replace(/[\\u2068\\u2069]/g, '')", "Ben is writing…");
    ben.write("ink.");
    ben.press("Enter");
    ada.reads(&[("Ben", "Let me think.")]);
    ada.wait_for_value("$('#typing').textContent", "");
}

#[test]
fn what_was_said_can_be_deleted_by_who_said_it() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.person(name));
    ada.say("I should not have said this.");
    ada.say("But this.");
    ben.reads(&[("Ada", "I should not have said this."), ("Ada", "But this.")]);
    ben.wait_for("$$('.message .delete').every((button) => !button.checkVisibility())");

    ada.click(".message .delete");
    ada.click("#ask-yes");
    for person in [&ada, &ben] {
        person.reads(&[("Ada", "This message was deleted."), ("Ada", "But this.")]);
    }
    // Nor does anybody see it who comes later.
    let cleo = chat.person("Cleo");
    cleo.reads(&[("Ada", "This message was deleted."), ("Ada", "But this.")]);
}
