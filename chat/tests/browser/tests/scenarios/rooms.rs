//! Rooms: joining, members, and moderation by owners.

use serde_json::json;
use switchboard_browser::{Chat, Display, User};

/// Waits until the member list shows these names.
#[track_caller]
fn sees_members(user: &User, names: &[&str]) {
    user.wait_for_value("$$('#member-list [data-user]').map(({ dataset }) => dataset.user)", names);
}

/// Waits until the room list shows these names.
#[track_caller]
fn sees_rooms(user: &User, names: &[&str]) {
    user.wait_for_value("$$('#room-list [data-room] .name').map(({ textContent }) => textContent)", names);
}

/// Waits until this element has the focus: keyboard users continue from there.
#[track_caller]
fn has_focus(user: &User, selector: &str) {
    user.wait_for(&format!("document.activeElement === $({})", json!(selector)));
}

/// Waits until a toast shows this sentence, ignoring the invisible marks around names.
#[track_caller]
fn sees_toast(user: &User, sentence: &str) {
    let toasts = "$$('#toasts p').map(({ textContent }) => textContent.replace(/[\\u2068\\u2069]/g, ''))";
    user.wait_for(&format!("{toasts}.includes({})", json!(sentence)));
}

#[track_caller]
fn invite(user: &User, name: &str) {
    user.click("#invite");
    user.click(&format!("#users-list [data-user={name}]"));
    user.wait_for(&format!("$('#toasts').textContent.includes({})", json!(name)));
    user.click("#users-dialog .close");
}

#[test]
fn an_invited_user_can_join_and_can_be_removed() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Den", "invited");
    sees_members(&ada, &["Ada"]);
    invite(&ada, "Ben");

    ben.wait_for_value(
        "[$('#invitation-list').innerText.replace(/[\\u2068\\u2069]/g, '').split('\\n').slice(0, 2), document.title]",
        json!([["Den", "Invited by Ada"], "(1) Lobby – switchboard"]),
    );
    ben.click("#invitation-list .accept");
    ben.wait_for_value("$('#room-name').textContent", "Den");
    sees_rooms(&ben, &["Den", "Lobby"]);
    for user in [&ada, &ben] {
        sees_members(user, &["Ada", "Ben"]);
    }
    ben.say("Thank you for having me.");
    ada.sees_messages(&[("Ben", "Thank you for having me.")]);

    ada.click("#member-list [data-user=Ben]");
    ada.click("#user-kick");
    ada.click("#ask-yes");
    sees_toast(&ben, "You were removed from Den.");
    sees_rooms(&ben, &["Lobby"]);
    sees_members(&ada, &["Ada"]);
}

#[test]
fn a_banned_user_cannot_return_until_unbanned() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Den", "invited");
    ada.wait_for("$('#bans').hidden");
    invite(&ada, "Ben");
    ben.click("#invitation-list .accept");
    sees_members(&ben, &["Ada", "Ben"]);

    ada.click("#member-list [data-user=Ben]");
    ada.click("#user-ban");
    ada.click("#ask-yes");
    sees_toast(&ben, "You were banned from Den.");
    ada.wait_for_value("$$('#ban-list [data-user]').map(({ dataset }) => dataset.user)", ["Ben"]);
    ben.wait_for("$('#bans').hidden");

    // The error is about the invited user, not about the one who invites.
    ada.click("#invite");
    ada.click("#users-list [data-user=Ben]");
    sees_toast(&ada, "This person is banned from the room.");
    ada.click("#users-dialog .close");

    ada.click("#ban-list [data-user=Ben]");
    ada.click("#ask-yes");
    ada.wait_for("$('#bans').hidden");
    has_focus(&ada, "#details-title");
    invite(&ada, "Ben");
    ben.click("#invitation-list .accept");
    sees_members(&ada, &["Ada", "Ben"]);
}

#[test]
fn an_invitation_can_be_declined() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Den", "invited");
    invite(&ada, "Ben");
    ben.click("#invitation-list .decline");
    ben.wait_for_value("$$('#invitation-list [data-room]').length", 0);
    has_focus(&ben, "#room-list a");
    sees_rooms(&ben, &["Lobby"]);
}

#[test]
fn a_public_room_can_be_found_joined_and_left() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Garden", "public");

    ben.open_room_search();
    ben.fill("#find-search", "gar");
    ben.wait_for_value("$$('#found-rooms .name').map(({ textContent }) => textContent)", json!(["Garden"]));
    ada.say("It is green here.");
    ada.sees_messages(&[("Ada", "It is green here.")]);
    ben.click("#found-rooms [data-room]");
    // Ben sees the room before he joins it, and nobody is told.
    ben.wait_for_value(
        "[$('#preview-name').textContent, $('#preview-members').textContent, location.hash]",
        json!(["Garden", "1 member", "#room-2"]),
    );
    ben.wait_for_value(
        "$$('#preview-messages .message .text').map(({ textContent }) => textContent)",
        ["It is green here."],
    );
    sees_rooms(&ben, &["Lobby"]);
    ben.click("#preview-join");
    ben.wait_for_value("$('#room-name').textContent", "Garden");
    sees_members(&ada, &["Ada", "Ben"]);

    ben.click("#leave");
    ben.click("#ask-yes");
    sees_rooms(&ben, &["Lobby"]);
    ben.wait_for_value("$('#room-name').textContent", "Lobby");
    sees_members(&ada, &["Ada"]);
}

#[test]
fn a_new_topic_is_shown_to_all_members() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Garden", "public");
    ben.open_room_search();
    ben.click_on("$$('#found-rooms button').find(({ innerText }) => innerText.includes('Garden'))");
    ben.click("#preview-join");
    ben.wait_for_value("$('#room-name').textContent", "Garden");

    ada.click("#topic-edit");
    ada.fill("#ask-input", "What grows?");
    ada.click("#ask-yes");
    for user in [&ada, &ben] {
        user.wait_for_value(
            "[$('#room-topic').textContent, $('#about-topic').textContent]",
            json!(["What grows?", "What grows?"]),
        );
    }
}

#[test]
fn the_typing_indicator_is_shown_until_the_message_is_sent() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.fill("#text", "Let me th");
    ada.wait_for_value("$('#typing').textContent.replace(/[\\u2068\\u2069]/g, '')", "Ben is typing…");
    ben.write("ink.");
    ben.press("Enter");
    ada.sees_messages(&[("Ben", "Let me think.")]);
    ada.wait_for_value("$('#typing').textContent", "");
}

#[test]
fn a_user_can_delete_their_own_message() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.say("I should not have said this.");
    ada.say("But this.");
    ben.sees_messages(&[("Ada", "I should not have said this."), ("Ada", "But this.")]);
    ben.wait_for("$$('.message .delete').every((button) => !button.checkVisibility())");

    ada.click(".message .delete");
    ada.click("#ask-yes");
    for user in [&ada, &ben] {
        user.sees_messages(&[("Ada", "This message was deleted."), ("Ada", "But this.")]);
    }
    has_focus(&ada, ".message.deleted");
    // A user who joins later does not see it either.
    let cleo = chat.user("Cleo");
    cleo.sees_messages(&[("Ada", "This message was deleted."), ("Ada", "But this.")]);
}

#[test]
fn the_member_list_keeps_its_loaded_pages_when_it_refreshes() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    // The guests only need to exist, so they sign in over HTTP.
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
    let shown = "[$('#members-title').textContent, $$('#member-list [data-user]').length]";
    let cleo = chat.user("Cleo");
    cleo.wait_for_value(shown, json!(["203 members", 200]));
    // A refresh that began before the second page is answered after it.
    cleo.evaluate(
        "void ((send) => {
            WebSocket.prototype.send = function (text) {
                if (!text.startsWith('[\"members\"')) {
                    send.call(this, text);
                    return;
                }
                window.sendHeld = () => send.call(this, text);
                WebSocket.prototype.send = send;
            };
        })(WebSocket.prototype.send)",
    );
    cleo.click("#details-close");
    cleo.click("#details-toggle");
    cleo.wait_for("window.sendHeld");
    cleo.click("#members-more");
    cleo.wait_for_value(shown, json!(["203 members", 203]));
    cleo.evaluate("void window.sendHeld()");
    let _dan = chat.user("Dan");
    cleo.wait_for_value(shown, json!(["204 members", 204]));
}

#[test]
fn lists_mark_guests_and_operators_and_nobody_is_offered_to_delete_the_lobby() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    chat.make_operator(&ada);
    let guest = chat.visitor("Guest", Display::default());
    guest.click_on("$('#mode-guest').parentElement");
    guest.fill("#name", "Guest");
    guest.press("Enter");
    guest.wait_until_connected();
    ada.evaluate("location.reload()");
    ada.wait_until_connected();
    let marks =
        "$$('#member-list [data-user]').map((each) => [each.dataset.user, each.querySelector('.aside').textContent])";
    ben.evaluate("location.reload()");
    ben.wait_for_value(marks, json!([["Ada", "operator"], ["Ben", "you"], ["Guest", "guest"]]));
    ben.click("#find-user");
    ben.wait_for_value(
        "$$('#users-list [data-user]').map((each) => each.querySelector('.aside').textContent)",
        json!(["operator", "guest"]),
    );
    ada.wait_for("!$('#topic-edit').hidden && $('#remove').hidden");
}

#[test]
fn the_dot_of_a_user_online_does_not_stay_on_the_next_room() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.say("Hello.");
    ada.open_direct_with("Ben");
    let dot = "getComputedStyle($('#room-mark'), '::after').content !== 'none'";
    ada.wait_for_value(dot, true);
    ada.open("Lobby");
    ada.wait_for_value(dot, false);
}

#[test]
fn no_text_of_a_private_conversation_speaks_of_a_room() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.say("Good evening.");
    ada.sees_messages(&[("Ben", "Good evening.")]);
    ada.open_direct_with("Ben");
    ada.click("#leave");
    ada.wait_for("$('#ask-dialog').open");
    let texts = "['#conversation', '#details', '#ask-dialog'].flatMap((part) => [
        $(part).innerText,
        ...[...$(part).querySelectorAll('*')].filter((each) => each.checkVisibility())
            .flatMap((each) => [each.title, each.ariaLabel, each.placeholder]),
    ]).filter(Boolean)";
    ada.wait_for(&format!("{texts}.some((text) => text.includes('conversation with'))"));
    ada.wait_for_value(&format!("{texts}.filter((text) => /room|member/i.test(text))"), json!([]));
}
