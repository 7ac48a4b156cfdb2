//! Replication between Redpoll and the real redis-server 7.0: every pairing goes through the same scenarios.
//!
//! The module of a test names the pairing (master first), its name the fact. A pairing is a line in `pairs!` or
//! `chains!`, a scenario is a function of the kinds of its nodes and a line in one of the lists below. What is asked of
//! Redpoll is what redis → redis does: with `REDPOLL_TEST_BINARY=redis-server` all of this runs on the real thing.
//!
//! Most of the time is spent waiting for timers of the servers (a replica acknowledges and reconnects once a second),
//! so more threads than cores help: `cargo test --test interop -- --test-threads=8`.
//! `REDPOLL_INTEROP_CUTS=20` cuts every link 20 times in place of 5, `REDPOLL_INTEROP_LARGE=10` makes large values ten times
//! as large.

mod support;

#[path = "support/mix.rs"]
mod mix;

#[path = "interop/attach.rs"]
mod attach;
#[path = "interop/compare.rs"]
mod compare;
#[path = "interop/cuts.rs"]
mod cuts;
#[path = "interop/fake_master.rs"]
mod fake_master;
#[path = "interop/faults.rs"]
mod faults;
#[path = "interop/large.rs"]
mod large;
#[path = "interop/load.rs"]
mod load;
#[path = "interop/observer.rs"]
mod observer;
#[path = "interop/played.rs"]
mod played;
#[path = "interop/promotion.rs"]
mod promotion;
#[path = "interop/proxy.rs"]
mod proxy;
#[path = "interop/restart.rs"]
mod restart;
#[path = "interop/semantics.rs"]
mod semantics;
#[path = "interop/topology.rs"]
mod topology;
#[path = "interop/wire.rs"]
mod wire;

use fake_master::Fault;
use topology::Kind::{Redis, Redpoll};

/// One `#[test]` per line: its name, the scenario, the arguments. Without the peer, a test says SKIPPED and passes.
macro_rules! scenarios {
    ($($name:ident => $scenario:path, $($argument:expr),+;)*) => {$(
        #[test]
        fn $name() {
            if topology::peer_is_installed() {
                $scenario($($argument),+);
            }
        }
    )*};
}

/// What must hold for two nodes and for longer rows.
macro_rules! row_scenarios {
    ($kinds:expr) => {
        scenarios! {
            attaching_by_replicaof_under_load_ends_in_equal_data => attach::at_run_time, $kinds;
            attaching_at_start_under_load_ends_in_equal_data => attach::at_start, $kinds;
            cut_links_resume_partially_under_load => cuts::resume_partially, $kinds;
            cut_links_never_apply_half_a_transaction => cuts::never_apply_half_a_transaction, $kinds;
            restarted_replica_resumes_partially => restart::replica_resumes_partially, $kinds;
            published_messages_pass_along => semantics::messages_pass_along, $kinds;
            the_stream_is_passed_on_unchanged => semantics::stream_is_passed_on_unchanged, $kinds;
            transactions_arrive_as_units => semantics::transactions_arrive_as_units, $kinds;
            every_database_gets_its_writes => semantics::every_database_gets_its_writes, $kinds;
            expiry_is_driven_by_the_master => semantics::expiry_is_driven_by_the_master, $kinds;
        }
    };
}

macro_rules! pairs {
    ($($pairing:ident: $kinds:expr;)*) => {$(
        mod $pairing {
            use super::*;
            row_scenarios! { $kinds }
            scenarios! {
                each_diskless_setting_syncs => attach::with_each_diskless_setting, $kinds;
                second_replica_attaches_during_a_full_sync => attach::second_replica_during_full_sync, $kinds;
                old_master_resumes_by_the_secondary_id => promotion::old_master_resumes_by_secondary_id, $kinds;
                old_master_with_extra_writes_resyncs_fully
                    => promotion::old_master_with_extra_writes_resyncs_fully, $kinds;
                replica_of_a_restarted_master_resumes_partially => restart::master_is_resumed_from_partially, $kinds;
                shutdown_waits_for_who_lags => restart::shutdown_waits_for_who_lags, $kinds;
                flushed_data_stays_away => restart::flushed_data_stays_away, $kinds;
                a_full_sync_reaches_the_disk => restart::a_full_sync_reaches_the_disk, $kinds;
                wait_counts_acknowledgements => semantics::wait_counts_acknowledgements, $kinds;
                wait_is_about_what_the_client_has_seen => semantics::wait_is_about_what_the_client_has_seen, $kinds;
                wait_can_be_ended_from_outside => semantics::wait_can_be_ended_from_outside, $kinds;
                a_new_master_costs_no_link => semantics::a_new_master_costs_no_link, $kinds;
                soft_output_limit_cuts_off => semantics::soft_output_limit_cuts_off, $kinds;
                masterauth_opens_requirepass => semantics::masterauth_opens_requirepass, $kinds;
                announced_address_is_shown => semantics::announced_address_is_shown, $kinds;
                large_values_sync_under_load => large::sync_under_load, $kinds;
                the_file_of_one_is_loaded_by_the_other => large::file_is_loaded, $kinds;
                replica_refuses_writes => semantics::replica_refuses_writes, $kinds;
                writable_replica_expires_what_was_written_there
                    => semantics::writable_replica_expires_what_was_written_there, $kinds;
            }
        }
    )*};
}

macro_rules! chains {
    ($($pairing:ident: $kinds:expr;)*) => {$(
        mod $pairing {
            use super::*;
            row_scenarios! { $kinds }
            scenarios! {
                restarted_middle_and_its_replica_resume_partially => restart::middle_of_a_chain_resumes, $kinds;
                promoting_the_middle_keeps_the_end_partial => promotion::middle_of_a_chain, $kinds;
            }
        }
    )*};
}

pairs! {
    redis_to_redpoll: &[Redis, Redpoll];
    redpoll_to_redis: &[Redpoll, Redis];
    redpoll_to_redpoll: &[Redpoll, Redpoll];
}

chains! {
    redis_to_redpoll_to_redis: &[Redis, Redpoll, Redis];
}

/// What Redpoll does not begin, but takes part in.
mod redis_begins {
    use super::*;
    scenarios! {
        failover_exchanges_the_roles => promotion::failover_exchanges_the_roles, &[Redis, Redpoll];
    }
}

/// What redis-server 7.0 does not know.
mod redpolls_alone {
    use super::*;
    scenarios! {
        a_redis_replica_far_behind_is_served_from_disk
            => semantics::the_log_of_who_is_far_behind_is_on_disk, &[Redpoll, Redis];
        a_replica_far_behind_is_served_from_disk
            => semantics::the_log_of_who_is_far_behind_is_on_disk, &[Redpoll, Redpoll];
        fields_expire_by_the_master => attach::with_fields_that_expire, &[Redpoll, Redpoll, Redpoll];
    }
}

/// Faults of a master, against Redpoll as the replica: what a real Redis does about some of them is to exit.
mod redpoll_as_replica {
    use super::*;
    scenarios! {
        survives_garbage_in_reply_to_ping => faults::survive, Redpoll, Fault::GarbageToPing;
        survives_garbage_in_reply_to_psync => faults::survive, Redpoll, Fault::GarbageToPsync;
        survives_fullresync_without_an_offset => faults::survive, Redpoll, Fault::FullresyncWithoutOffset;
        survives_a_truncated_rdb => faults::survive, Redpoll, Fault::TruncatedRdb;
        survives_a_truncated_rdb_with_an_eof_mark => faults::survive, Redpoll, Fault::TruncatedRdbWithMark;
        survives_a_flipped_byte => faults::survive, Redpoll, Fault::FlippedByte;
        survives_an_endless_value => faults::survive, Redpoll, Fault::EndlessValue;
        survives_an_endless_value_before_a_mark => faults::survive, Redpoll, Fault::EndlessValueWithMark;
        survives_a_wrong_checksum => faults::survive, Redpoll, Fault::WrongChecksum;
        survives_a_master_that_falls_silent => faults::survive, Redpoll, Fault::Silence;
        survives_a_wrong_magic => faults::survive, Redpoll, Fault::WrongMagic;
        survives_a_version_of_the_future => faults::survive, Redpoll, Fault::FutureVersion;
        survives_an_unknown_rdb_type => faults::survive, Redpoll, Fault::UnknownType;
        survives_an_unknown_command => faults::survive, Redpoll, Fault::UnknownCommand;
        survives_garbage_in_the_stream => faults::survive, Redpoll, Fault::GarbageInStream;
    }
}

/// What concerns one server alone.
mod redpoll_alone {
    use super::*;
    scenarios! {
        sync_may_end_by_a_mark => played::sync_may_end_by_a_mark, Redpoll;
        a_filter_leaves_the_data_out => played::a_filter_leaves_the_data_out, Redpoll;
        rdb_only_ends_behind_the_snapshot => played::rdb_only_ends_behind_the_snapshot, Redpoll;
        a_replica_gets_no_replies => played::a_replica_gets_no_replies, Redpoll;
        psync_can_hand_the_role_over => played::psync_can_hand_the_role_over, Redpoll;
        an_announced_snapshot_is_a_sync => played::an_announced_snapshot_is_a_sync, Redpoll;
        a_master_that_refuses_is_asked_each_second => played::a_master_that_refuses_is_asked_each_second, Redpoll;
        crash_during_bgsave_leaves_a_whole_file => restart::crash_during_bgsave_leaves_a_whole_file, Redpoll;
    }
}
