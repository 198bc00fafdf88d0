//! Two users exchange messages, in a room and in private.

use switchboard_browser::Chat;

#[test]
fn every_member_receives_each_message_once_and_in_order() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));

    ada.say("Hello, is anybody here?");
    ben.say("I am.");
    ada.say("Good.\nThen let us begin.");
    ben.say("Yes 👋");

    let said =
        [("Ada", "Hello, is anybody here?"), ("Ben", "I am."), ("Ada", "Good.\nThen let us begin."), ("Ben", "Yes 👋")];
    ada.sees_messages(&said);
    ben.sees_messages(&said);
}

#[test]
fn messages_in_other_rooms_are_counted_until_read() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.say("Ask me anything.");
    ada.sees_messages(&[("Ben", "Ask me anything.")]);

    ada.open_direct_with("Ben");
    ada.say("Between us:");
    ada.say("how does it go?");
    ben.sees_unread("Ada", 2);
    ben.wait_for_value("document.title", "(2) Lobby – switchboard");

    ben.say("Somebody asks something.");
    ada.sees_unread("Lobby", 1);

    ben.open("Ada");
    ben.sees_messages(&[("Ada", "Between us:"), ("Ada", "how does it go?")]);
    ben.sees_unread("Ada", 0);
    ben.say("Well.");
    ada.sees_messages(&[("Ada", "Between us:"), ("Ada", "how does it go?"), ("Ben", "Well.")]);
    ada.open("Lobby");
    ada.sees_unread("Lobby", 0);
    ada.sees_messages(&[("Ben", "Ask me anything."), ("Ben", "Somebody asks something.")]);
}
