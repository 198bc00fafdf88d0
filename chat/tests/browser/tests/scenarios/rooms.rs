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

/// Waits until the focus is at this element: who uses the keys goes on from there.
#[track_caller]
fn has_focus(person: &Person, selector: &str) {
    person.wait_for(&format!("document.activeElement === $({})", json!(selector)));
}

/// Waits until somebody is told this at the edge of the page. The names in it are kept apart by marks that are not seen.
#[track_caller]
fn is_told(person: &Person, sentence: &str) {
    let told = "$$('#toasts p').map(({ textContent }) => textContent.replace(/[\\u2068\\u2069]/g, ''))";
    person.wait_for(&format!("{told}.includes({})", json!(sentence)));
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
    is_told(&ben, "You were removed from Den.");
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
    is_told(&ben, "You were banned from Den.");
    ada.wait_for_value("$$('#ban-list [data-person]').map(({ dataset }) => dataset.person)", ["Ben"]);
    ben.wait_for("$('#bans').hidden");

    // What keeps them out is said of them, not of who invites.
    ada.click("#invite");
    ada.click("#people-list [data-person=Ben]");
    is_told(&ada, "This person is banned from the room.");
    ada.click("#people-dialog .close");

    ada.click("#ban-list [data-person=Ben]");
    ada.click("#ask-yes");
    ada.wait_for("$('#bans').hidden");
    has_focus(&ada, "#details-title");
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
    has_focus(&ben, "#room-list a");
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
    has_focus(&ada, ".message.deleted");
    // Nor does anybody see it who comes later.
    let cleo = chat.person("Cleo");
    cleo.reads(&[("Ada", "This message was deleted."), ("Ada", "But this.")]);
}

#[test]
fn the_list_of_members_goes_on_behind_a_page_and_stays_so_long() {
    let chat = Chat::open(&[]);
    let ada = chat.person("Ada");
    // They are many and say nothing, so they come by a shorter way.
    let guests = 201;
    ada.evaluate(&format!(
        "(async () => {{
            for (let number = 0; number < {guests}; number += 1) {{
                const headers = {{ 'Content-Type': 'application/json' }};
                const body = JSON.stringify({{ name: `Guest ${{number}}`, token: true }});
                const {{ status }} = await fetch('/api/guest', {{ method: 'POST', headers, body }});
                if (status !== 201) throw new Error(status);
            }}
            return true;
        }})()"
    ));
    let shown = "[$('#members-title').textContent, $$('#member-list [data-person]').length]";
    let cleo = chat.person("Cleo");
    cleo.wait_for_value(shown, json!(["200+ members", 200]));
    cleo.click("#members-more");
    cleo.wait_for_value(shown, json!(["203 members", 203]));
    let _dan = chat.person("Dan");
    cleo.wait_for_value(shown, json!(["204 members", 204]));
}
