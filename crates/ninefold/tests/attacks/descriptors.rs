//! What happens when the descriptors run out: newcomers wait, who is there is served.

use crate::common::{Server, getattr};

#[test]
fn a_crowd_at_the_door_holds_up_nobody_inside() {
    let wrap = ["sh", "-c", "ulimit -n 60; exec \"$@\"", "sh"];
    for threads in ["2", "8"] {
        let server = Server::with(&wrap, threads, |_| {});
        let mut inside: Vec<_> = (0..3).map(|_| server.session()).collect();
        let mut crowd: Vec<_> = (0..100).map(|_| server.connect()).collect();
        for _ in 0..50 {
            for connection in &mut inside {
                connection.call(&getattr(0)).expect("served");
            }
        }
        // When some leave, those at the door come in.
        let last = crowd.split_off(90);
        drop(crowd);
        for mut connection in last {
            connection
                .version(8192, ninefold_client::wire::Dialect::Linux)
                .expect("a version");
        }
        drop(inside);
        server.wait_until_idle();
    }
}
