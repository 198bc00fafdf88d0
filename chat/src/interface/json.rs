//! The JSON format as a [`Delivery`].

use switchboard::CloseCode;

use super::{
    super::wire,
    client::ClientId,
    delivery::{Delivery, Transport},
    effects::{Audience, Closing, Content, Effect, Topic},
    pushes::Push,
    requests::{Outcome, RequestId},
};

/// Encodes what is told as JSON, and passes it on to a [`Transport`].
#[derive(Default)]
pub(crate) struct JsonDelivery<T>(pub(crate) T);

/// A reply or push as JSON.
pub(crate) struct Json {
    /// `None` for success that no client waits for.
    text: Option<String>,
    /// The length of an answer, also of one that no client waits for.
    answer_bytes: usize,
}

impl<T: Transport> Delivery for JsonDelivery<T> {
    type Encoded = Json;

    fn encode(&self, content: Content) -> Json {
        match content {
            Content::Reply(id, Ok(answer)) => {
                let answer = wire::json(&answer);
                Json { answer_bytes: answer.len(), text: id.map(|id| wire::ack(&answer, &id)) }
            }
            Content::Reply(id, Err(error)) => Json { text: Some(wire::error(&error, id.as_ref())), answer_bytes: 0 },
            Content::Push(push) => {
                let data = (!matches!(push, Push::Beat)).then_some(&push);
                Json { text: Some(wire::event(push.name(), data)), answer_bytes: 0 }
            }
        }
    }

    fn bytes(Json { text, .. }: &Json) -> usize {
        text.as_ref().map_or(0, String::len)
    }

    fn answer_bytes(json: &Json) -> usize {
        json.answer_bytes
    }

    fn deliver(&self, effect: Effect<Json>) {
        let Self(transport) = self;
        match effect {
            Effect::Tell(audience, Json { text: Some(text), .. }) => match audience {
                Audience::One(connection) => transport.send(connection, &text),
                Audience::Followers(topic, except) => transport.publish(&topic.name(), &text, except),
            },
            Effect::Tell(_, Json { text: None, .. }) => {}
            Effect::Follow(connection, topic) => transport.subscribe(connection, &topic.name()),
            Effect::Unfollow(connection, topic) => transport.unsubscribe(connection, &topic.name()),
            Effect::Close(connection, closing) => {
                let (code, reason) = closing.code_and_reason();
                match closing {
                    Closing::TooManyRefusals => transport.shut(connection, code, reason),
                    _ => transport.close(connection, code, reason),
                }
            }
        }
    }

    fn resume(&self, connection: ClientId) {
        self.0.resume(connection);
    }

    fn post(&self) {
        self.0.post();
    }

    fn complete(&self, request: RequestId, outcome: Outcome) {
        self.0.complete(request, outcome);
    }

    fn is_overloaded(&self) -> bool {
        self.0.is_overloaded()
    }
}

impl Topic {
    fn name(self) -> String {
        match self {
            Self::Everyone => "everyone".to_owned(),
            Self::User(id) => format!("user {id}"),
            Self::Room(id) => format!("room {id}"),
        }
    }
}

impl Closing {
    fn code_and_reason(self) -> (CloseCode, &'static str) {
        match self {
            Self::NoSession => (SESSION_EXPIRED, "the session has ended"),
            Self::TooManyConnections => (CloseCode::POLICY_VIOLATION, "too many connections"),
            Self::ConnectedTooOften => (CloseCode::TRY_AGAIN_LATER, "connected too often"),
            Self::TryAgainLater => (CloseCode::TRY_AGAIN_LATER, "try again later"),
            Self::TooManyRefusals => (CloseCode::POLICY_VIOLATION, wire::TOO_MANY_REFUSALS),
        }
    }
}

/// The close code for a connection without a session.
const SESSION_EXPIRED: CloseCode = CloseCode::new(4001);
