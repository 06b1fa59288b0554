//! The adapters of AWS keep the contracts of their ports, as the embedded ones do.

use shared::testkit::{self, Cloud, Decorated, Emulator};

macro_rules! conforms {
    ($($name:ident: $suite:ident, $under_faults:ident;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn keeps_the_contract() {
                let Some(emulator) = Emulator::shared(stringify!($name)) else { return };
                testkit::$suite(&Cloud(emulator)).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn keeps_it_behind_the_fault_decorator() {
                let Some(emulator) = Emulator::shared(stringify!($name)) else { return };
                testkit::$suite(&Decorated(Cloud(emulator))).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn tells_the_truth_under_faults() {
                let Some(emulator) = Emulator::shared(stringify!($name)) else { return };
                for seed in 1..=2 {
                    testkit::$under_faults(&Cloud(emulator), seed).await;
                }
            }
        }
    )*};
}

conforms! {
    the_spool: spool_suite, spool_under_faults;
    the_queue: queue_suite, queue_under_faults;
    the_deliveries: deliveries_suite, deliveries_under_faults;
    the_directory: directory_suite, directory_under_faults;
    the_keys: keys_suite, keys_under_faults;
    the_counters: counters_suite, counters_under_faults;
    the_tallies: tallies_suite, tallies_under_faults;
}
