//! Elements and sets: what stands for how long.

use super::*;

#[test]
fn a_gate_opens_is_renewed_and_closes() {
    let Some((_netns, _kernel, mut gates)) = gated("a_gate_opens_is_renewed_and_closes") else {
        return;
    };
    let (four, six) = (ip("10.7.0.100"), ip("fd77::100"));
    gates.guard(&BTreeSet::from([four, six])).unwrap();
    gates.attach(&BTreeSet::from(["lo".to_owned()])).unwrap();
    assert_eq!(gates.left(four).unwrap(), None);
    gates.arm(&[(four, ms(20_000)), (six, ms(10_000))]).unwrap();
    assert!(gates.left(four).unwrap().unwrap() > ms(10_000));
    assert_eq!(
        gates
            .renew(&[(four, ms(30_000)), (six, ms(30_000))])
            .unwrap(),
        Vec::<IpAddr>::new()
    );
    assert!(gates.left(four).unwrap().unwrap() > ms(20_000));
    assert!(gates.left(six).unwrap().unwrap() > ms(20_000));
    assert_eq!(gates.intact().unwrap(), Ok(()));
    gates.close(&[four, ip("10.7.0.101")]).unwrap();
    assert_eq!(gates.left(four).unwrap(), None);
    assert_eq!(
        gates
            .renew(&[(four, ms(30_000)), (six, ms(30_000))])
            .unwrap(),
        vec![four]
    );
    gates.close_all().unwrap();
    assert_eq!(gates.left(six).unwrap(), None);
    gates.lower().unwrap();
}
