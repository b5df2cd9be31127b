declare i64 @llvm.smin.i64(i64, i64)

define void @run(ptr noalias %arguments, i64 %part) {
entry:
  %m34 = alloca i64, align 64
  %m65 = alloca i64, align 64
  %m83 = alloca i64, align 64
  %v1 = load i64, ptr %arguments
  %v2 = getelementptr i64, ptr %arguments, i64 1
  %v3 = load i64, ptr %v2
  %v4 = getelementptr i64, ptr %arguments, i64 2
  %v5 = load ptr, ptr %v4
  %v6 = getelementptr i64, ptr %arguments, i64 3
  %v7 = load ptr, ptr %v6
  %v8 = getelementptr i64, ptr %arguments, i64 4
  %v9 = load ptr, ptr %v8
  %v10 = getelementptr i64, ptr %arguments, i64 5
  %v11 = load ptr, ptr %v10
  %v12 = getelementptr i64, ptr %arguments, i64 6
  %v13 = load ptr, ptr %v12
  %v14 = getelementptr i64, ptr %arguments, i64 7
  %v15 = load ptr, ptr %v14
  %v16 = getelementptr i64, ptr %arguments, i64 8
  %v17 = load ptr, ptr %v16
  %v18 = getelementptr i64, ptr %arguments, i64 9
  %v19 = load ptr, ptr %v18
  %v20 = getelementptr i64, ptr %arguments, i64 10
  %v21 = load ptr, ptr %v20
  %v22 = getelementptr i64, ptr %arguments, i64 11
  %v23 = load ptr, ptr %v22
  %v24 = getelementptr i64, ptr %arguments, i64 12
  %v25 = load ptr, ptr %v24
  %v26 = getelementptr i64, ptr %arguments, i64 13
  %v27 = load ptr, ptr %v26
  %v28 = getelementptr i64, ptr %v5, i64 %part
  %v29 = load i64, ptr %v28
  %v30 = add i64 %part, 1
  %v31 = getelementptr i64, ptr %v5, i64 %v30
  %v32 = load i64, ptr %v31
  store i64 0, ptr %m34
  br label %step33
step33:
  %v35 = load i64, ptr %m34
  %v36 = icmp slt i64 %v35, %v1
  br i1 %v36, label %step33.body, label %step33.end
step33.body:
  %v37 = sub i64 %v1, 1
  %v38 = sub i64 %v37, %v35
  %v39 = getelementptr i64, ptr %v7, i64 %v38
  %v40 = load i64, ptr %v39
  %v41 = call i64 @llvm.smin.i64(i64 %v32, i64 %v40)
  %v42 = icmp slt i64 %v29, %v41
  br i1 %v42, label %busy43, label %busy43.end
busy43:
  %v44 = mul i64 %v1, 0
  %v45 = add i64 %v44, %v38
  %v46 = getelementptr i64, ptr %v9, i64 %v45
  %v47 = load i64, ptr %v46
  %v48 = mul i64 %v1, 1
  %v49 = add i64 %v48, %v38
  %v50 = getelementptr i64, ptr %v9, i64 %v49
  %v51 = load i64, ptr %v50
  %v52 = mul i64 %v1, 2
  %v53 = add i64 %v52, %v38
  %v54 = getelementptr i64, ptr %v9, i64 %v53
  %v55 = load i64, ptr %v54
  %v56 = mul i64 %v1, 3
  %v57 = add i64 %v56, %v38
  %v58 = getelementptr i64, ptr %v9, i64 %v57
  %v59 = load i64, ptr %v58
  %v60 = mul i64 %v1, 4
  %v61 = add i64 %v60, %v38
  %v62 = getelementptr i64, ptr %v9, i64 %v61
  %v63 = load i64, ptr %v62
  store i64 %v29, ptr %m65
  br label %row64
row64:
  %v66 = load i64, ptr %m65
  %v67 = icmp slt i64 %v66, %v41
  br i1 %v67, label %row64.body, label %row64.end
row64.body:
  %v68 = add i64 %v47, %v66
  %v69 = mul i64 %v68, 8
  %v70 = getelementptr float, ptr %v21, i64 %v69
  %v71 = add i64 %v59, %v66
  %v72 = mul i64 %v71, 8
  %v73 = getelementptr float, ptr %v17, i64 %v72
  %v74 = add i64 %v55, %v66
  %v75 = mul i64 %v74, 8
  %v76 = getelementptr float, ptr %v23, i64 %v75
  %v77 = add i64 %v47, %v66
  %v78 = mul i64 %v77, 8
  %v79 = getelementptr float, ptr %v19, i64 %v78
  %v80 = mul i64 %part, 552
  %v81 = getelementptr float, ptr %v25, i64 %v80
  store i64 0, ptr %m83
  br label %column82
column82:
  %v84 = load i64, ptr %m83
  %v85 = icmp slt i64 %v84, 8
  br i1 %v85, label %column82.body, label %column82.end
column82.body:
  %v86 = getelementptr float, ptr %v70, i64 %v84
  %v87 = load <4 x float>, ptr %v86, align 4
  %v88 = getelementptr float, ptr %v73, i64 %v84
  %v89 = load <4 x float>, ptr %v88, align 4
  %v90 = getelementptr float, ptr %v76, i64 %v84
  %v91 = load <4 x float>, ptr %v90, align 4
  %v92 = fadd <4 x float> %v87, %v89
  %v93 = fmul <4 x float> %v91, %v91
  %v94 = fsub <4 x float> splat (float 0x3FF0000000000000), %v93
  %v95 = fmul <4 x float> %v92, %v94
  %v96 = getelementptr float, ptr %v79, i64 %v84
  store <4 x float> %v95, ptr %v96, align 4
  %v97 = getelementptr float, ptr %v81, i64 %v84
  %v98 = load <4 x float>, ptr %v97, align 4
  %v99 = fadd <4 x float> %v98, %v95
  %v100 = getelementptr float, ptr %v81, i64 %v84
  store <4 x float> %v99, ptr %v100, align 4
  %v101 = add i64 %v84, 4
  store i64 %v101, ptr %m83
  br label %column82
column82.end:
  %v102 = add i64 %v66, 1
  store i64 %v102, ptr %m65
  br label %row64
row64.end:
  %v103 = add i64 %v47, %v29
  %v104 = mul i64 %v103, 8
  %v105 = getelementptr float, ptr %v19, i64 %v104
  %v106 = add i64 %v63, %v29
  %v107 = mul i64 %v106, 8
  %v108 = getelementptr float, ptr %v17, i64 %v107
  %v109 = sub i64 %v41, %v29
  call void %v11(ptr %v105, i64 8, i64 %v109, ptr %v27, i64 8, i64 2, ptr %v108, i64 8)
  br label %busy43.end
busy43.end:
  %v110 = add i64 %v35, 1
  store i64 %v110, ptr %m34
  br label %step33
step33.end:
  ret void
}

define void @join(ptr %arguments) {
entry:
  %m12 = alloca i64, align 64
  %v1 = getelementptr i64, ptr %arguments, i64 6
  %v2 = load ptr, ptr %v1
  %v3 = call i32 %v2()
  %v4 = sext i32 %v3 to i64
  %v5 = getelementptr i64, ptr %arguments, i64 7
  %v6 = load ptr, ptr %v5
  %v7 = call i32 %v6()
  %v8 = sext i32 %v7 to i64
  %v9 = getelementptr i64, ptr %arguments, i64 1
  %v10 = load i64, ptr %v9
  store i64 %v4, ptr %m12
  br label %part11
part11:
  %v13 = load i64, ptr %m12
  %v14 = icmp slt i64 %v13, %v10
  br i1 %v14, label %part11.body, label %part11.end
part11.body:
  call void @run(ptr %arguments, i64 %v13)
  %v15 = add i64 %v13, %v8
  store i64 %v15, ptr %m12
  br label %part11
part11.end:
  ret void
}
