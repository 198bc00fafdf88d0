//! The functions for bytes from and to the network, and for what a connection is doing.

use std::{ffi::c_char, mem::MaybeUninit};

use crate::{
    Bytes, Connection, Event, NextStep, Outcome, State,
    outcome::{Failure, guarded, read},
    raw,
};

/// Returns the next event in bytes from the peer, which are unmasked in place.
///
/// The bytes may be cut anywhere; the events are the same. `used` is set to the number of them that are read: call it
/// again with the rest, until the event is NONE. A caller that stops earlier, because much output waits, keeps the rest
/// and gives it before later bytes.
///
/// An error ends the connection, and what answers it is in the output already: a response with the status that fits,
/// or the Close with the code that fits, which `event` has. Later bytes are dropped.
///
/// # Safety
/// `bytes` points to `length` initialised bytes, or is NULL if there are none. Nothing else uses them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_receive(
    connection: Option<&mut Connection>,
    bytes: *mut u8,
    length: usize,
    used: Option<&mut MaybeUninit<usize>>,
    event: Option<&mut MaybeUninit<Event>>,
) -> Outcome {
    let (Some(used), Some(event)) = (used, event) else { return Outcome::NullPointer };
    let (used, event) = (used.write(0), event.write(Event::NONE));
    // SAFETY: the caller vouches for the bytes.
    let bytes = unsafe { raw::bytes_mut(bytes, length) };
    guarded(connection, |connection| {
        let (found, read) = connection.receive(bytes?);
        *used = read;
        match found {
            Ok(found) => *event = found,
            Err(failure) => {
                event.close_code = failure.close_code;
                return Err(failure);
            }
        }
        Ok(())
    })
}

/// Returns the bytes to write to the peer, until the next call that takes the connection as not const.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_output(connection: Option<&Connection>) -> Bytes {
    read(connection, Bytes::NONE, |connection| connection.output().into())
}

/// Removes the first `count` bytes from the output, because they are written.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_wrote(connection: Option<&mut Connection>, count: usize) -> Outcome {
    guarded(connection, |connection| {
        if count > connection.output().len() {
            return Err(Failure::argument("the output has fewer bytes"));
        }
        connection.wrote(count);
        Ok(())
    })
}

/// Returns what to do next with the connection. SWITCHBOARD_NEXT_END for NULL.
///
/// As long as there is output, it is WRITE. A caller that reads only when it is READ bounds its memory: a peer that
/// reads no answers is not read from.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_next(connection: Option<&Connection>) -> NextStep {
    read(connection, NextStep::End, Connection::next)
}

/// Returns the state of the connection. CLOSED for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_state(connection: Option<&Connection>) -> State {
    read(connection, State::Closed, Connection::state)
}

/// Returns whether the peer has begun a request, a response, a frame or a message that it has not finished: a reason to
/// have a deadline.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_has_unfinished(connection: Option<&Connection>) -> bool {
    read(connection, false, Connection::has_unfinished)
}

/// Returns how many bytes on the heap the connection has for what the peer has sent: an unfinished message, and the
/// payload of the last event. The output is apart.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_allocated_bytes(connection: Option<&Connection>) -> u64 {
    read(connection, 0, Connection::allocated_bytes)
}

/// Returns what was wrong in the last call that has failed, in English, until the next one; empty if none has. For logs:
/// it may repeat a little of what the peer has sent.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_error_text(connection: Option<&Connection>) -> *const c_char {
    connection.map_or(c"", |connection| connection.error.as_c_str()).as_ptr()
}
